//! Values of options: each reads itself and words its own mistakes.

mod choice;
mod count;
mod duration;
mod plain;
mod template;

pub(crate) use choice::{Choice, OrOff, Switch};
pub(crate) use count::Count;
pub(crate) use duration::{Duration, check_positive, positive};
pub(crate) use plain::{Calls, Flag, Fraction, Names, is_call};
pub(crate) use template::{Piece, Placeholder, Template};
