//! The statements of a fenced row, worded for any SQL database.

use std::fmt;

use super::{FenceError, FencingToken};
use crate::error::{Error, ErrorKind, Result};

/// A table whose rows each keep the newest fencing token that they have seen. It words statements, and runs none.
///
/// The column of the token is a signed integer of 64 bits, 0 at first: [`add_column`](Self::add_column). The order of work, each
/// step in a statement of its own (or the last two in one transaction that begins after the first has been committed):
/// [`register`](Self::register), read, [`update`](Self::update). What each changed is judged by [`accepted`](Self::accepted).
///
/// ```
/// use keylatch::fencing::{Placeholders, SqlFence};
///
/// # fn main() -> keylatch::Result<()> {
/// let stock = SqlFence::new("stock", "sku", "fence")?;
/// assert_eq!(stock.register(), "UPDATE stock SET fence = ? WHERE sku = ? AND fence <= ?");
/// assert_eq!(stock.update(&["quantity"])?, "UPDATE stock SET quantity = ?, fence = ? WHERE sku = ? AND fence <= ?");
///
/// let postgres = stock.placeholders(Placeholders::Dollar);
/// assert_eq!(postgres.register(), "UPDATE stock SET fence = $1 WHERE sku = $2 AND fence <= $3");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqlFence {
    table: String,
    key: String,
    fence: String,
    placeholders: Placeholders,
}

/// How a database writes the values that are bound to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Placeholders {
    /// `?`, as in SQLite and MySQL.
    #[default]
    Question,
    /// `$1`, as in PostgreSQL.
    Dollar,
    /// `@p1`, as in SQL Server.
    At,
}

impl SqlFence {
    /// Rows of `table`, found by the column `key`, with their newest token in the column `fence`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a name that is not made of ASCII letters, digits and `_`, with dots between a schema and
    /// its table: names are not quoted, and must not come from users.
    pub fn new(table: impl Into<String>, key: impl Into<String>, fence: impl Into<String>) -> Result<Self> {
        let (table, key, fence) = (table.into(), key.into(), fence.into());
        for name in [&table, &key, &fence] {
            check(name)?;
        }
        Ok(Self { table, key, fence, placeholders: Placeholders::default() })
    }

    /// Default: `?`.
    #[must_use]
    pub fn placeholders(self, placeholders: Placeholders) -> Self {
        Self { placeholders, ..self }
    }

    /// Adds the column to a table that is there.
    #[must_use]
    pub fn add_column(&self) -> String {
        format!("ALTER TABLE {} ADD COLUMN {} BIGINT NOT NULL DEFAULT 0", self.table, self.fence)
    }

    /// Registers a token: from then on no older holder's write is accepted. **Before** the row is read. To be bound: the
    /// token, the key, the token.
    #[must_use]
    pub fn register(&self) -> String {
        self.setting(&[])
    }

    /// Sets these columns, if no newer holder was there. To be bound: their values, the token, the key, the token.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn update(&self, columns: &[&str]) -> Result<String> {
        for column in columns {
            check(column)?;
        }
        Ok(self.setting(columns))
    }

    /// Whether the database took a token, by the number of rows that [`register`](Self::register) or [`update`](Self::update)
    /// has changed (on MySQL: found, `CLIENT_FOUND_ROWS`, for a row that stays what it is counts as well).
    ///
    /// # Errors
    /// [`FenceError::Stale`] if it changed none: a newer holder was there, or there is no such row.
    pub fn accepted(&self, token: FencingToken, rows: usize) -> std::result::Result<(), FenceError> {
        if rows > 0 {
            return Ok(());
        }
        Err(FenceError::Stale { resource: self.table.clone(), token, newest: None })
    }

    fn setting(&self, columns: &[&str]) -> String {
        let Self { table, key, fence, placeholders } = self;
        let mut number = 0;
        let mut next = || {
            number += 1;
            Placeholder(*placeholders, number)
        };
        let mut changes: Vec<String> =
            columns.iter().map(|column| format!("{column} = {}", next())).collect();
        changes.push(format!("{fence} = {}", next()));
        let changes = changes.join(", ");
        format!("UPDATE {table} SET {changes} WHERE {key} = {} AND {fence} <= {}", next(), next())
    }
}

struct Placeholder(Placeholders, u32);

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Placeholders::Question => f.write_str("?"),
            Placeholders::Dollar => write!(f, "${}", self.1),
            Placeholders::At => write!(f, "@p{}", self.1),
        }
    }
}

fn check(name: &str) -> Result<()> {
    let is_good = |part: &str| {
        !part.starts_with(|first: char| first.is_ascii_digit())
            && !part.is_empty()
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    if name.split('.').all(is_good) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Configuration, "word a fenced statement")
        .with("name", name)
        .remedy("a table or column is named by ASCII letters, digits and `_`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_say_more_are_refused() {
        for name in ["", "a b", "a;--", "\"a\"", "1a", "a.", "ä", "a)"] {
            assert!(SqlFence::new(name, "id", "fence").is_err(), "{name}");
            assert!(SqlFence::new("stock", "id", "fence").unwrap().update(&[name]).is_err(), "{name}");
        }
        assert!(SqlFence::new("shop.stock", "id", "fence").is_ok());
    }

    #[test]
    fn a_row_that_did_not_change_was_refused() {
        let stock = SqlFence::new("stock", "id", "fence").unwrap().placeholders(Placeholders::At);
        assert_eq!(
            stock.update(&["left", "at"]).unwrap(),
            "UPDATE stock SET left = @p1, at = @p2, fence = @p3 WHERE id = @p4 AND fence <= @p5"
        );
        let token = FencingToken::new(7);
        assert!(stock.accepted(token, 1).is_ok());
        let refused = stock.accepted(token, 0).unwrap_err();
        assert!(refused.is_stale() && refused.to_string().contains("token 7"), "{refused}");
    }
}
