//! What a cached function may return, and what of it is stored.

use std::time::Duration;

/// What the attribute's `cache_if` and `ttl_from` say of a value.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// Whether to store it.
    pub store: bool,
    /// Its own life, if it has one.
    pub ttl: Option<Duration>,
}

/// The answer of the closure or function of `cache_if`, whose types are known here: a wrong one is reported where it is.
pub fn accepts<V: ?Sized>(value: &V, question: impl FnOnce(&V) -> bool) -> bool {
    question(value)
}

/// The answer of the closure or function of `ttl_from`.
pub fn life_by<V: ?Sized, L: Life>(value: &V, question: impl FnOnce(&V) -> L) -> Option<Duration> {
    question(value).own()
}

/// The answer of the expression of `ttl_from`.
pub fn life<L: Life>(answer: L) -> Option<Duration> {
    answer.own()
}

/// What `ttl_from` may answer; with `None`, `ttl` decides.
#[diagnostic::on_unimplemented(
    message = "`ttl_from` answers with a `Duration` or an `Option<Duration>`, not with `{Self}`",
    label = "not a duration",
    note = "make it one, as in `Duration::from_secs(..)`"
)]
pub trait Life {
    /// The value's own life, if it has one.
    fn own(self) -> Option<Duration>;
}

#[diagnostic::do_not_recommend]
impl Life for Duration {
    fn own(self) -> Option<Duration> {
        Some(self)
    }
}

#[diagnostic::do_not_recommend]
impl Life for Option<Duration> {
    fn own(self) -> Option<Duration> {
        self
    }
}

/// Stands for what cannot be made because an attribute is wrong: the crate does not compile, so this is never called.
#[must_use]
pub fn missing<T>() -> T {
    unreachable!("an attribute is wrong")
}

/// A return type seen as one of the [shapes](shape).
pub trait Outcome<Shape>: Sized {
    /// What an entry holds: the success of a `Result`, else the whole.
    type Value;
    /// What is encoded: the inside of an `Option`, else the value.
    type Payload;

    /// The value, or `None` for an error, which is never stored.
    fn value(&self) -> Option<&Self::Value>;
    /// The payload, or `None` for an absence.
    fn payload(value: &Self::Value) -> Option<&Self::Payload>;
    /// The value of an entry; `None` if the entry is an absence and the type cannot be one.
    fn restore(payload: Option<Self::Payload>) -> Option<Self::Value>;
    /// The function's result from a stored value.
    fn from_value(value: Self::Value) -> Self;
}

impl<T> Outcome<shape::Plain> for T {
    type Value = T;
    type Payload = T;

    fn value(&self) -> Option<&T> {
        Some(self)
    }
    fn payload(value: &T) -> Option<&T> {
        Some(value)
    }
    fn restore(payload: Option<T>) -> Option<T> {
        payload
    }
    fn from_value(value: T) -> Self {
        value
    }
}

impl<T> Outcome<shape::Optional> for Option<T> {
    type Value = Self;
    type Payload = T;

    fn value(&self) -> Option<&Self> {
        Some(self)
    }
    fn payload(value: &Self) -> Option<&T> {
        value.as_ref()
    }
    fn restore(payload: Self) -> Option<Self> {
        Some(payload)
    }
    fn from_value(value: Self) -> Self {
        value
    }
}

impl<T, E> Outcome<shape::Fallible> for Result<T, E> {
    type Value = T;
    type Payload = T;

    fn value(&self) -> Option<&T> {
        self.as_ref().ok()
    }
    fn payload(value: &T) -> Option<&T> {
        Some(value)
    }
    fn restore(payload: Option<T>) -> Option<T> {
        payload
    }
    fn from_value(value: T) -> Self {
        Ok(value)
    }
}

impl<T, E> Outcome<shape::FallibleOptional> for Result<Option<T>, E> {
    type Value = Option<T>;
    type Payload = T;

    fn value(&self) -> Option<&Option<T>> {
        self.as_ref().ok()
    }
    fn payload(value: &Option<T>) -> Option<&T> {
        value.as_ref()
    }
    fn restore(payload: Option<T>) -> Option<Option<T>> {
        Some(payload)
    }
    fn from_value(value: Option<T>) -> Self {
        Ok(value)
    }
}

/// The shapes, and the check that an alias does not hide one.
pub mod shape {
    use std::marker::PhantomData;

    use super::super::Keeper;
    use crate::codec::{Codec, CodecHandle, codec};

    /// `T`.
    #[derive(Debug)]
    pub struct Plain;
    /// `Option<T>`.
    #[derive(Debug)]
    pub struct Optional;
    /// `Result<T, E>`.
    #[derive(Debug)]
    pub struct Fallible;
    /// `Result<Option<T>, E>`.
    #[derive(Debug)]
    pub struct FallibleOptional;

    /// A macro sees names, not types: `type Answer = Result<..>` looks like a plain value to it, and its errors would be
    /// stored. Method resolution sees the type: the trait implemented for `Probe<Result<..>>` is found first, the one for
    /// `&Probe<T>` only otherwise.
    #[derive(Debug)]
    pub struct Probe<T>(PhantomData<fn() -> T>);

    impl<T> Probe<T> {
        /// The probe of a return type.
        #[must_use]
        #[expect(clippy::new_without_default, reason = "only generated code makes one")]
        pub fn new() -> Self {
            Self(PhantomData)
        }
    }

    /// Found for a `Result`.
    pub trait ViaResult {
        /// The kind of the return type.
        fn kind(&self) -> IsResult {
            IsResult
        }
    }
    impl<T, E> ViaResult for Probe<Result<T, E>> {}

    /// Found for everything else.
    pub trait ViaOther {
        /// The kind of the return type.
        fn kind(&self) -> IsOther {
            IsOther
        }
    }
    impl<T> ViaOther for &Probe<T> {}

    /// Found for values that can be kept in the memory of the process.
    pub trait ViaClone<T> {
        /// Their keeper.
        fn keeper(&self) -> Option<Keeper<T>>;
    }
    impl<T: Clone + Send + Sync + 'static> ViaClone<T> for Probe<T> {
        fn keeper(&self) -> Option<Keeper<T>> {
            Some(Keeper::new())
        }
    }

    /// Found for all others.
    pub trait ViaNothing<T> {
        /// They have none.
        fn keeper(&self) -> Option<Keeper<T>> {
            None
        }
    }
    impl<T> ViaNothing<T> for &Probe<T> {}

    /// The return type is a `Result`.
    #[derive(Debug)]
    pub struct IsResult;
    /// The return type is something else.
    #[derive(Debug)]
    pub struct IsOther;

    impl IsOther {
        /// The codec of a value that is what it looks like.
        #[must_use]
        pub fn codec<C: Codec<T>, T>(self) -> CodecHandle<T> {
            codec::<C, T>()
        }

        /// Compiles.
        pub fn check<T>(self) {}
    }

    impl IsResult {
        /// Does not compile, whether or not the codec can store `T`: an alias gives one error.
        #[must_use]
        pub fn codec<C, T: LooksLikeWhatItIs>(self) -> CodecHandle<T> {
            unreachable!("no type implements the bound")
        }

        /// Does not compile.
        pub fn check<T: LooksLikeWhatItIs>(self) {}
    }

    /// What a `Result` that is called something else is not.
    #[diagnostic::on_unimplemented(
        message = "this return type is an alias of `Result`, and its errors would pass for values",
        label = "write it as `Result<..>`",
        note = "an attribute sees names, not types: only what is called `Result` is taken apart"
    )]
    pub trait LooksLikeWhatItIs {}

    // With no implementation at all rustc would propose to write one.
    #[diagnostic::do_not_recommend]
    impl LooksLikeWhatItIs for IsOther {}
}
