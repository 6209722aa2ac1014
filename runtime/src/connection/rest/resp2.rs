//! Reads bodies in RESP2: any number of values, one after the other.
//!
//! The client's own parser reads one value and does not say where it ended.

use redis::Value;

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends too early.
    Truncated,
    /// It is something else.
    Malformed,
}

/// Arrays within arrays, before it counts as an attack on the stack. The client's own limit.
const DEEPEST: usize = 100;

/// Whether a body that begins with that byte may be RESP2. JSON and HTML begin with other ones.
pub(super) fn begins(first: u8) -> bool {
    matches!(first, b'+' | b'-' | b':' | b'$' | b'*')
}

/// All values of a body.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Value>, Fault> {
    let mut reader = Reader { rest: body };
    let mut values = Vec::new();
    while !reader.rest.is_empty() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        let whole_line = self.rest;
        let line = self.line()?;
        let (kind, text) = line.split_first().ok_or(Fault::Malformed)?;
        match kind {
            // The client knows its error codes and makes its errors: it reads the line again.
            b'+' | b'-' => {
                redis::parse_redis_value(&whole_line[..line.len() + 2]).map_err(|_| Fault::Malformed)
            }
            b':' => Ok(Value::Int(number(text)?)),
            b'$' => self.bulk(number(text)?),
            b'*' if depth < DEEPEST => self.array(number(text)?, depth),
            _ => Err(Fault::Malformed),
        }
    }

    fn bulk(&mut self, length: i64) -> Result<Value, Fault> {
        // Only -1 is written, and stands for nothing.
        let Ok(length) = usize::try_from(length) else {
            return Ok(Value::Nil);
        };
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Fault::Truncated)?;
        self.rest = rest;
        if !self.line()?.is_empty() {
            return Err(Fault::Malformed);
        }
        Ok(Value::BulkString(bytes.to_vec()))
    }

    fn array(&mut self, length: i64, depth: usize) -> Result<Value, Fault> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(Value::Nil);
        };
        // Not allocated in advance: the length is only what the other side claims.
        let mut values = Vec::new();
        for _ in 0..length {
            values.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(values))
    }

    /// The bytes up to the next line end, which is consumed.
    fn line(&mut self) -> Result<&'a [u8], Fault> {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Fault::Truncated)?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 2..];
        Ok(line)
    }
}

fn number(text: &[u8]) -> Result<i64, Fault> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type() {
        let body = b"+OK\r\n+PONG\r\n:-7\r\n$2\r\n\r\n\r\n$-1\r\n*-1\r\n*2\r\n$1\r\n\xff\r\n*0\r\n";
        let expected = vec![
            Value::Okay,
            Value::SimpleString("PONG".to_owned()),
            Value::Int(-7),
            Value::BulkString(b"\r\n".to_vec()),
            Value::Nil,
            Value::Nil,
            Value::Array(vec![Value::BulkString(vec![0xff]), Value::Array(Vec::new())]),
        ];
        assert_eq!(parse(body), Ok(expected));
    }

    #[test]
    fn an_error_keeps_its_code() {
        let values = parse(b"-WRONGTYPE Operation\r\n").expect("it is RESP2");
        let [Value::ServerError(error)] = &values[..] else { panic!("{values:?}") };
        assert_eq!((error.code(), error.details()), ("WRONGTYPE", Some("Operation")));
    }

    #[test]
    fn claims_are_not_believed() {
        assert_eq!(parse(b"*9223372036854775807\r\n:1\r\n"), Err(Fault::Truncated));
        assert_eq!(parse(b"$9223372036854775807\r\nabc\r\n"), Err(Fault::Truncated));
        assert_eq!(parse(&b"*1\r\n".repeat(100_000)), Err(Fault::Malformed));
        assert_eq!(parse(b"$1\r\nabc\r\n"), Err(Fault::Malformed));
        assert_eq!(parse(b":one\r\n"), Err(Fault::Malformed));
        assert_eq!(parse(b"\r\n"), Err(Fault::Malformed));
    }

    fn any_value() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            Just(b"$-1\r\n".to_vec()),
            any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
            "[A-Z]{1,9}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
            "[A-Z]{3,9}( [a-z ]{0,9})?".prop_map(|text| format!("-{text}\r\n").into_bytes()),
            any::<Vec<u8>>().prop_map(|bytes| [
                format!("${}\r\n", bytes.len()).into_bytes(),
                bytes,
                b"\r\n".to_vec()
            ]
            .concat()),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop::collection::vec(inner, 0..6)
                .prop_map(|values| [format!("*{}\r\n", values.len()).into_bytes(), values.concat()].concat())
        })
    }

    proptest! {
        #[test]
        fn reads_what_the_client_reads(bytes in any_value()) {
            let ours = parse(&bytes).expect("it is RESP2");
            prop_assert_eq!(ours, vec![redis::parse_redis_value(&bytes).expect("it is RESP2")]);
        }

        #[test]
        fn a_part_is_never_taken_for_the_whole(bytes in any_value(), cut: prop::sample::Index) {
            let part = &bytes[..cut.index(bytes.len())];
            prop_assert!(part.is_empty() || parse(part) == Err(Fault::Truncated), "{:?}", parse(part));
        }

        #[test]
        fn garbage_does_no_harm(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
