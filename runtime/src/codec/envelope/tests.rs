//! Golden bytes of the envelope, its limits, and a hundred thousand damaged ones.

use super::*;

const HEADER: Header = Header {
    nonce: [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7],
    codec: 1,
    fingerprint: 0x1122_3344_5566_7788,
    written_at_ms: 1_700_000_000_000,
    fresh_until_ms: 1_700_000_060_000,
    expires_at_ms: 1_700_000_120_000,
    load_us: 1234,
    absent: false,
    writer: None,
};
const STAMPS: [(&[u8], [u8; 8]); 2] = [(b"shop:1", [1, 2, 3, 4, 5, 6, 7, 8]), (b"all", [0; 8])];

fn sample() -> Vec<u8> {
    encode(HEADER, STAMPS.into_iter(), |out| {
        out.extend_from_slice(b"payload");
        Ok(())
    })
    .unwrap()
}

fn absent() -> Vec<u8> {
    encode(Header { absent: true, ..HEADER }, [].into_iter(), |_| panic!("called for an absence")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[test]
fn version_2_is_pinned() {
    assert_eq!(
        hex(&sample()),
        concat!(
            "560200",
            "a0a1a2a3a4a5a6a7",
            "01",
            "8877665544332211",
            "0068e5cf8b010000",
            "6052e6cf8b010000",
            "c03ce7cf8b010000",
            "d2040000",
            "21c2930250b77f5f",
            "0200",
            "060073686f703a310102030405060708",
            "0300616c6c0000000000000000",
            "7061796c6f6164",
        )
    );
    assert_eq!(
        hex(&absent()),
        concat!(
            "560201",
            "a0a1a2a3a4a5a6a7",
            "01",
            "8877665544332211",
            "0068e5cf8b010000",
            "6052e6cf8b010000",
            "c03ce7cf8b010000",
            "d2040000",
            "c3f93e53aa63d4da",
            "0000",
        )
    );
}

/// An envelope of before the writer was told stays as it was; this is one that tells it.
#[test]
fn the_writer_is_pinned() {
    let writer = WriterId::from_bytes([0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7]);
    let header = Header { writer: Some(writer), ..HEADER };
    let bytes = encode(header, STAMPS.into_iter().take(1), |out| {
        out.extend_from_slice(b"payload");
        Ok(())
    })
    .unwrap();
    assert_eq!(hex(&bytes[..11]), "560208a0a1a2a3a4a5a6a7");
    assert_eq!(
        hex(&bytes[56..]),
        concat!("0100", "060073686f703a310102030405060708", "b0b1b2b3b4b5b6b7", "7061796c6f6164")
    );
    let read = Envelope::decode(&bytes).unwrap();
    assert_eq!((read.header, read.payload), (header, &b"payload"[..]));
    let absent = encode(Header { absent: true, ..header }, [].into_iter(), |_| Ok(())).unwrap();
    assert_eq!(absent[FLAGS_AT], 9);
    assert_eq!(Envelope::decode(&absent).unwrap().header.writer, Some(writer));
}

/// What another version has compressed is read; what it is compressed to, the libraries may change.
#[cfg(all(feature = "lz4", feature = "zstd"))]
#[test]
fn compressed_payloads_are_pinned() {
    let plain = [b'k'; 100];
    let with = |flags: u8, payload: &str| {
        let bytes: Vec<u8> = (0..payload.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&payload[at..at + 2], 16).unwrap())
            .collect();
        let mut envelope = encode(HEADER, [].into_iter(), |out| {
            out.extend_from_slice(&bytes);
            Ok(())
        })
        .unwrap();
        envelope[FLAGS_AT] |= flags;
        let sum = checksum(&envelope);
        envelope[CHECKSUM_AT..STAMPS_AT].copy_from_slice(&sum.to_le_bytes());
        envelope
    };
    for (flags, compression, payload) in
        [(2, Compression::Lz4, LZ4_PAYLOAD), (4, Compression::Zstd, ZSTD_PAYLOAD)]
    {
        let bytes = with(flags, payload);
        let read = Envelope::decode(&bytes).unwrap();
        assert_eq!(read.compression, Some(compression));
        assert_eq!(read.unpack().unwrap(), &plain[..]);
        let packing = Packing { compression, above: 10 };
        let written = encode_packed(HEADER, Some(packing), [].into_iter(), |out| {
            out.extend_from_slice(&plain);
            Ok(())
        })
        .unwrap();
        assert_eq!((written[FLAGS_AT], hex(&written[FIXED_LEN..])), (flags, payload.to_owned()));
        // The checksum is right, and what it vouches for is a lie.
        let lie = with(flags, &payload.replacen("64000000", "64000010", 1));
        let read = Envelope::decode(&lie).unwrap();
        assert_eq!(read.unpack(), Err(EnvelopeError::Decompression));
        assert_eq!(
            Envelope::decode(&with(flags | 1, payload)).unwrap_err(),
            EnvelopeError::AbsentWithPayload
        );
    }
}

/// A hundred times `k`: the length, a literal and a match of it, six literals at the end.
#[cfg(all(feature = "lz4", feature = "zstd"))]
const LZ4_PAYLOAD: &str = "640000001f6b01004a606b6b6b6b6b6b";
/// The length, and a frame of one block.
#[cfg(all(feature = "lz4", feature = "zstd"))]
const ZSTD_PAYLOAD: &str = "6400000028b52ffd2064450000106b6b01003f012c";

#[test]
fn what_was_written_is_read_back() {
    let bytes = sample();
    let envelope = Envelope::decode(&bytes).unwrap();
    assert_eq!(envelope.header, HEADER);
    assert_eq!(envelope.payload, b"payload");
    assert_eq!(envelope.stamps.len(), 2);
    assert!(envelope.stamps.eq(STAMPS));
    let bytes = absent();
    let envelope = Envelope::decode(&bytes).unwrap();
    assert!(envelope.header.absent && envelope.payload.is_empty() && envelope.stamps.is_empty());
    assert_eq!(prefix(&bytes), Some(&bytes[..11]));
    assert_eq!(prefix(&bytes[..10]), None);
    assert_eq!(prefix(b"L0123456789abc"), None);
}

/// Changes bytes and then repairs the checksum, to reach the checks behind it.
fn forged(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> EnvelopeError {
    change(&mut bytes);
    let sum = checksum(&bytes);
    bytes[CHECKSUM_AT..STAMPS_AT].copy_from_slice(&sum.to_le_bytes());
    Envelope::decode(&bytes).unwrap_err()
}

#[test]
fn each_rule_is_checked() {
    assert_eq!(Envelope::decode(b"").unwrap_err(), EnvelopeError::Truncated);
    assert_eq!(Envelope::decode(&sample()[..57]).unwrap_err(), EnvelopeError::Truncated);
    assert_eq!(forged(sample(), |bytes| bytes[0] = b'L'), EnvelopeError::NotAnEnvelope);
    assert_eq!(forged(sample(), |bytes| bytes[1] = 1), EnvelopeError::UnknownVersion(1));
    assert_eq!(forged(sample(), |bytes| bytes[2] = 0x10), EnvelopeError::UnknownFlags(0x10));
    assert_eq!(forged(sample(), |bytes| bytes[2] = 6), EnvelopeError::UnknownFlags(6), "two formats");
    // The payload has seven bytes, one less than a writer.
    assert_eq!(forged(sample(), |bytes| bytes[2] = 8), EnvelopeError::Truncated);
    assert_eq!(forged(sample(), |bytes| bytes[2] = 1), EnvelopeError::AbsentWithPayload);
    assert_eq!(forged(sample(), |bytes| bytes[57] = 0xff), EnvelopeError::StampLimit);
    assert_eq!(forged(sample(), |bytes| bytes[56] = 3), EnvelopeError::Truncated);
    assert_eq!(forged(sample(), |bytes| bytes[59] = 0xff), EnvelopeError::Truncated);
    let long = forged(sample(), |bytes| {
        bytes[59] = 0xff;
        bytes.resize(70_000, 0);
    });
    assert_eq!(long, EnvelopeError::StampLimit);
    let mut bytes = sample();
    bytes[48] ^= 1;
    assert_eq!(Envelope::decode(&bytes).unwrap_err(), EnvelopeError::Checksum);
}

#[test]
fn limits_hold_for_the_encoder() {
    let name = [0; MAX_STAMP_NAME + 1];
    let stamps = |count: usize, len: usize| std::iter::repeat_n((&name[..len], [0; 8]), count);
    let full = encode(HEADER, stamps(MAX_STAMPS, MAX_STAMP_NAME), |_| Ok(())).unwrap();
    assert_eq!(Envelope::decode(&full).unwrap().stamps.len(), MAX_STAMPS);
    let error = encode(HEADER, stamps(MAX_STAMPS + 1, 1), |_| Ok(())).unwrap_err();
    assert!(matches!(error, EncodeError::TooManyStamps));
    let error = encode(HEADER, stamps(1, MAX_STAMP_NAME + 1), |_| Ok(())).unwrap_err();
    assert!(matches!(error, EncodeError::StampNameTooLong { len: 1025 }));
    let error = encode(HEADER, stamps(0, 0), |_| Err(CodecError::encode("test", "no"))).unwrap_err();
    assert!(matches!(error, EncodeError::Codec(_)));
}

#[test]
fn damaged_and_random_bytes_never_yield_a_value() {
    let mut rng = fastrand::Rng::with_seed(0x6b65_796c_6174_6368);
    let mut corpus = vec![sample(), absent()];
    for _ in 0..30 {
        let names: Vec<Vec<u8>> =
            (0..rng.usize(..6)).map(|_| std::iter::repeat_with(|| rng.u8(..)).take(12).collect()).collect();
        let writer = rng.bool().then(|| WriterId::from_bytes(rng.u64(..).to_le_bytes()));
        let header = Header { nonce: rng.u64(..).to_le_bytes(), load_us: rng.u32(..), writer, ..HEADER };
        let payload: Vec<u8> = (0..rng.usize(..300)).map(|_| rng.u8(..)).collect();
        // Where the build has a format, half of them are compressed.
        let compression = Compression::of([0, 0, 2, 4][rng.usize(..4)]).ok().flatten();
        let packing = compression.map(|compression| Packing { compression, above: 0 });
        let stamps = names.iter().map(|name| (&name[..], rng.u64(..).to_le_bytes()));
        let bytes = encode_packed(header, packing, stamps, |out| {
            out.extend_from_slice(&payload);
            out.resize(out.len() + 40, 7);
            Ok(())
        });
        corpus.push(bytes.unwrap());
    }
    let mut tried = 0;
    while tried < 100_000 {
        let original = &corpus[rng.usize(..corpus.len())];
        let mut bytes = original.clone();
        let at = rng.usize(..bytes.len());
        match rng.u8(..6) {
            0 => (0..rng.usize(1..4)).for_each(|_| bytes[at] ^= 1 << rng.u8(..8)),
            1 => bytes.truncate(at),
            2 => bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(1 + at % 20)),
            3 => {
                let other = &corpus[rng.usize(..corpus.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.usize(..other.len())..]);
            }
            4 => bytes = (0..rng.usize(..400)).map(|_| rng.u8(..)).collect(),
            // Random bytes behind a good start get further than random bytes alone.
            _ => {
                bytes.truncate(3);
                bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(53 + at));
                bytes.extend([rng.u8(..4), 0]);
                bytes.extend(std::iter::repeat_with(|| rng.u8(..4)).take(at));
            }
        }
        if corpus.contains(&bytes) {
            continue;
        }
        tried += 1;
        assert!(Envelope::decode(&bytes).is_err(), "decoded {}", hex(&bytes));
    }
}
