//! What may stand in a key.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroIsize, NonZeroU8, NonZeroU16,
    NonZeroU32, NonZeroU64, NonZeroU128, NonZeroUsize,
};
use std::rc::Rc;
use std::sync::Arc;

use super::KeyWriter;

/// A value that can be part of a key: equal values write equal text, different values different text.
///
/// Implemented for integers, `bool`, `char`, strings, `Option`, tuples, slices, arrays, `Vec`, ordered maps and sets,
/// references and smart pointers, IP addresses, `Duration`, and `uuid::Uuid` with the feature `uuid`. Use
/// [`#[derive(KeyPart)]`](derive@crate::KeyPart) for newtypes, structs and enums.
///
/// Not implemented for floats (`NaN` differs from itself, `-0.0` equals `0.0`) nor for hash maps and sets, whose order
/// changes from process to process.
///
/// ```
/// use keylatch::{Key, KeyPart, KeyWriter};
///
/// struct Sku(String);
///
/// impl KeyPart for Sku {
///     fn write_key(&self, key: &mut KeyWriter) {
///         key.text(&self.0);
///     }
/// }
///
/// assert_eq!(Key::of("stock").part(&Sku("a/b".into())).to_string(), "stock:a%2Fb");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a key",
    label = "not a key part",
    note = "if it does not affect the result (a connection, a pool, a clock), add it to the `skip(..)` of `#[cached]`",
    note = "if it does, derive `keylatch::KeyPart` for it, or name one of its fields in the key, as in `{{order.id}}`",
    note = "floats and hash maps have no single text: pass an integer, or a `BTreeMap`"
)]
pub trait KeyPart {
    /// Appends this value to `key`.
    fn write_key(&self, key: &mut KeyWriter);
}

/// Appends one argument of a template. On its own, so that a type that cannot be part of a key gives one error.
pub fn part<P: KeyPart + ?Sized>(key: &mut KeyWriter, value: &P) {
    value.write_key(key);
}

/// The path of the function that `marker`, a closure, is written in, with the concrete type of an `impl` block around it.
///
/// The function's own type arguments are cut off: they may name a caller's closure, which would make the key differ from
/// call to call. Those that can change the result are appended to the key by the macro.
#[must_use]
pub fn path_of<M>(_marker: &M) -> &'static str {
    function_path(std::any::type_name::<M>())
}

fn function_path(marker: &str) -> &str {
    let path = marker.rsplit_once("::").map_or(marker, |(function, _)| function);
    if !path.ends_with('>') {
        return path;
    }
    let bytes = path.as_bytes();
    let mut depth = 0_usize;
    for (index, &byte) in bytes.iter().enumerate().rev() {
        match byte {
            // The arrow of a function pointer closes nothing.
            b'>' if index > 0 && bytes[index - 1] == b'-' => {}
            b'>' => depth += 1,
            b'<' if depth == 1 => return path[..index].trim_end_matches("::"),
            b'<' => depth -= 1,
            _ => {}
        }
    }
    path
}

macro_rules! by_display {
    ($($type:ty),* $(,)?) => {$(
        #[diagnostic::do_not_recommend]
        impl KeyPart for $type {
            fn write_key(&self, key: &mut KeyWriter) {
                key.display(self);
            }
        }
    )*};
}

macro_rules! by_digits {
    ($($type:ty),* $(,)?) => {$(
        #[diagnostic::do_not_recommend]
        impl KeyPart for $type {
            fn write_key(&self, key: &mut KeyWriter) {
                // Most keys have a number in them, and `Display` takes four times as long.
                key.encoded(itoa::Buffer::new().format(*self).as_bytes());
            }
        }
    )*};
}

by_digits!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
by_display!(bool, char);
by_display!(NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128, NonZeroUsize);
by_display!(NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroIsize);
by_display!(std::net::IpAddr, std::net::Ipv4Addr, std::net::Ipv6Addr, std::net::SocketAddr);

#[cfg(feature = "uuid")]
by_display!(uuid::Uuid);

macro_rules! by_reference {
    ($($pointer:ty),* $(,)?) => {$(
        #[diagnostic::do_not_recommend]
        impl<P: KeyPart + ?Sized> KeyPart for $pointer {
            fn write_key(&self, key: &mut KeyWriter) {
                (**self).write_key(key);
            }
        }
    )*};
}

by_reference!(&P, &mut P, Box<P>, Rc<P>, Arc<P>);

macro_rules! tuple {
    ($($name:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<$($name: KeyPart),*> KeyPart for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the fields")]
            fn write_key(&self, key: &mut KeyWriter) {
                let ($($name,)*) = self;
                key.open();
                $(key.item($name);)*
                key.close();
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);

#[diagnostic::do_not_recommend]
impl KeyPart for () {
    fn write_key(&self, key: &mut KeyWriter) {
        key.open();
        key.close();
    }
}

#[diagnostic::do_not_recommend]
impl KeyPart for str {
    fn write_key(&self, key: &mut KeyWriter) {
        key.text(self);
    }
}

#[diagnostic::do_not_recommend]
impl KeyPart for String {
    fn write_key(&self, key: &mut KeyWriter) {
        key.text(self);
    }
}

#[diagnostic::do_not_recommend]
impl<B: KeyPart + ToOwned + ?Sized> KeyPart for Cow<'_, B> {
    fn write_key(&self, key: &mut KeyWriter) {
        (**self).write_key(key);
    }
}

#[diagnostic::do_not_recommend]
impl<P: KeyPart> KeyPart for Option<P> {
    fn write_key(&self, key: &mut KeyWriter) {
        key.option(self.as_ref());
    }
}

#[diagnostic::do_not_recommend]
impl<P: KeyPart> KeyPart for [P] {
    fn write_key(&self, key: &mut KeyWriter) {
        write_all(key, self);
    }
}

#[diagnostic::do_not_recommend]
impl<P: KeyPart, const N: usize> KeyPart for [P; N] {
    fn write_key(&self, key: &mut KeyWriter) {
        write_all(key, self);
    }
}

#[diagnostic::do_not_recommend]
impl<P: KeyPart> KeyPart for Vec<P> {
    fn write_key(&self, key: &mut KeyWriter) {
        write_all(key, self);
    }
}

#[diagnostic::do_not_recommend]
impl<P: KeyPart> KeyPart for BTreeSet<P> {
    fn write_key(&self, key: &mut KeyWriter) {
        write_all(key, self);
    }
}

#[diagnostic::do_not_recommend]
impl<K: KeyPart, V: KeyPart> KeyPart for BTreeMap<K, V> {
    fn write_key(&self, key: &mut KeyWriter) {
        key.open();
        for (name, value) in self {
            key.item(name);
            key.item(value);
        }
        key.close();
    }
}

#[diagnostic::do_not_recommend]
impl KeyPart for std::time::Duration {
    fn write_key(&self, key: &mut KeyWriter) {
        key.display(&self.as_nanos());
    }
}

fn write_all<'a, P: KeyPart + 'a>(key: &mut KeyWriter, items: impl IntoIterator<Item = &'a P>) {
    key.open();
    for item in items {
        key.item(item);
    }
    key.close();
}

#[cfg(test)]
mod tests {
    use super::function_path;

    #[test]
    fn a_path_keeps_the_impl_type_and_loses_the_functions_own_arguments() {
        for (marker, path) in [
            ("shop::product::{{closure}}", "shop::product"),
            ("shop::Repo<u8>::x::{{closure}}", "shop::Repo<u8>::x"),
            ("<shop::Db as shop::Repo>::x::{{closure}}", "<shop::Db as shop::Repo>::x"),
            ("shop::f<app::main::{{closure}}>::{{closure}}", "shop::f"),
            ("shop::f<fn(u8) -> alloc::vec::Vec<u8>>::{{closure}}", "shop::f"),
        ] {
            assert_eq!(function_path(marker), path);
        }
    }
}
