//! Putting a value that the caller has into its entry: encoded before anything is awaited, stored as of now.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use super::decision::Expected;
use super::flow::header;
use super::made_from::MadeFrom;
use super::plan::{Plan, STAMP_MARGIN};
use crate::clock;
use crate::codec::envelope::encode_packed;
use crate::codec::{CodecError, CodecHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::store::{Guarded, Stamp, Store};

/// A value on its way into its entry. Nothing of the value itself is needed any more, so it need not be cloned or shared.
pub struct Encoded {
    expected: Expected,
    absent: bool,
    /// `None`: it is not to be stored.
    life: Option<Duration>,
    bytes: Result<Vec<u8>, CodecError>,
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("absent", &self.absent)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Encoded {
    /// The payload of a value, or an absence; `life` as the plan has it.
    pub(super) fn new<P>(
        codec: &CodecHandle<P>,
        expected: Expected,
        payload: Option<&P>,
        life: Option<Duration>,
    ) -> Self {
        let mut bytes = Vec::new();
        let encoded = payload.map_or(Ok(()), |payload| codec.encode(payload, &mut bytes));
        Self { expected, absent: payload.is_none(), life, bytes: encoded.map(|()| bytes) }
    }

    /// The envelope and its life, or nothing for what is not to be stored.
    pub(super) fn envelope(
        self,
        plan: &Plan,
        stamps: &[(Key, Stamp)],
    ) -> Result<Option<(Vec<u8>, Duration)>> {
        let failed = |error| Error::new(ErrorKind::Encode, "put").because(error);
        let payload = self.bytes.map_err(|error| failed(error.into()))?;
        let Some(life) = self.life else { return Ok(None) };
        let aging = plan.options.aging;
        let header = aging.written(header(self.expected, life, Duration::ZERO, self.absent));
        let stamps = stamps.iter().map(|(key, stamp)| (key.as_bytes(), *stamp));
        let envelope = encode_packed(header, plan.packing(), stamps, |out| {
            out.extend_from_slice(&payload);
            Ok(())
        });
        Ok(Some((envelope.map_err(failed)?, aging.kept(life))))
    }
}

/// Stores it, whatever the slot holds, unless that is a hold. Whether it is stored.
pub(super) async fn put(plan: &Plan, encoded: Encoded) -> Result<bool> {
    let life = plan.options.aging.kept(encoded.life.unwrap_or_default());
    let Some(stamps) = capture(plan, plan.stamp_life().max(life)).await? else { return Ok(false) };
    let Some((envelope, life)) = encoded.envelope(plan, &stamps)? else { return Ok(false) };
    let replacing = Replacing::of(plan);
    match plan.home.store().put(&plan.key, &envelope, life).await? {
        Guarded::Applied => replacing.done(plan).await.map(|()| true),
        Guarded::Refused => {
            replacing.made_from.call_off();
            Ok(false)
        }
    }
}

/// The stamps as they are now, made where they are missing; `None` if one is held.
pub(super) async fn capture(plan: &Plan, life: Duration) -> Result<Option<Vec<(Key, Stamp)>>> {
    let keys: Vec<&Key> = plan.stamps().iter().collect();
    let states = plan.home.store().capture(&keys, life).await?;
    Ok(plan.current(&states))
}

/// Stamps that were captured before the entry's life was known live as long as the entry.
pub(super) async fn push_forward(plan: &Plan, life: Duration) {
    if life > STAMP_MARGIN {
        // A stamp that dies before its entry is a miss, so a failure here costs no more than that.
        let _ =
            plan.home.in_time(plan.options.timeout, "push stamps forward", pin!(capture(plan, life))).await;
    }
}

/// A value that is about to be replaced: what was made from it must go.
pub(super) struct Replacing {
    pub(super) made_from: MadeFrom,
    began: clock::Instant,
}

impl Replacing {
    pub(super) fn of(plan: &Plan) -> Self {
        let made_from = MadeFrom::new(&plan.home, plan.function, vec![plan.key.clone()]);
        Self { made_from, began: clock::now() }
    }

    pub(super) async fn done(self, plan: &Plan) -> Result<()> {
        crate::telemetry::stored(plan.function.name(), &plan.key, clock::now() - self.began);
        self.made_from.invalidate().await
    }
}
