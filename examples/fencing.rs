//! Fencing: a worker loses its lock without noticing, another does the work, and the first one wakes up and writes. A real
//! SQLite database refuses it, because each row keeps the newest token it has seen. Beside it the same without the check,
//! where an acknowledged write is lost. On the embedded store, or on the Redis that `REDIS_URL` names.
//!
//! `cargo run -p keylatch-examples --example fencing`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use keylatch::fencing::{FenceError, FencingToken, SqlFence};
use keylatch::{Key, Keylatch, LockError};
use rusqlite::Connection;

const TTL: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
enum PayError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Fence(#[from] FenceError),
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    Statement(#[from] keylatch::Error),
}

/// Accounts in SQLite.
struct Bank {
    database: Mutex<Connection>,
    accounts: SqlFence,
    register: String,
    update: String,
}

impl Bank {
    fn new() -> Result<Self, PayError> {
        let accounts = SqlFence::new("account", "id", "fence")?;
        let database = Connection::open_in_memory()?;
        database.execute_batch("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")?;
        database.execute_batch(&accounts.add_column())?;
        database.execute_batch("INSERT INTO account (id, balance) VALUES (1, 100), (2, 100)")?;
        let (register, update) = (accounts.register(), accounts.update(&["balance"])?);
        Ok(Self { database: Mutex::new(database), accounts, register, update })
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().expect("no query panics")
    }

    fn balance(&self, account: i64) -> Result<i64, PayError> {
        let query = "SELECT balance FROM account WHERE id = ?";
        Ok(self.database().query_row(query, [account], |row| row.get(0))?)
    }

    /// First of all: from here on, no older holder's write is accepted.
    fn register(&self, account: i64, token: FencingToken) -> Result<(), PayError> {
        let rows = self.database().execute(&self.register, (token.sql(), account, token.sql()))?;
        Ok(self.accounts.accepted(token, rows)?)
    }

    fn set(&self, account: i64, balance: i64, token: FencingToken) -> Result<(), PayError> {
        let values = (balance, token.sql(), account, token.sql());
        let rows = self.database().execute(&self.update, values)?;
        Ok(self.accounts.accepted(token, rows)?)
    }

    /// Without a look at the token.
    fn set_unguarded(&self, account: i64, balance: i64) -> Result<(), PayError> {
        let update = "UPDATE account SET balance = ? WHERE id = ?";
        self.database().execute(update, (balance, account))?;
        Ok(())
    }
}

/// Whether the database looks at tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guarded {
    Yes,
    No,
}

/// Pays from an account; between reading and writing passes `stall`, in which the process might as well be stopped: the lock is
/// not extended, and its loss stops nobody.
async fn pay(
    keylatch: &Keylatch,
    bank: &Bank,
    (account, amount): (i64, i64),
    stall: Duration,
    guarded: Guarded,
) -> Result<i64, PayError> {
    let lock = keylatch.lock(Key::of("fencing-example").part(&account)).ttl(TTL).fence();
    let paid = lock.extend_off().on_lost_continue().run(async |lease| {
        let token = lease.token().expect("it was asked for");
        if guarded == Guarded::Yes {
            bank.register(account, token)?;
        }
        let balance = bank.balance(account)? - amount;
        tokio::time::sleep(stall).await;
        match guarded {
            Guarded::Yes => bank.set(account, balance, token)?,
            Guarded::No => bank.set_unguarded(account, balance)?,
        }
        Ok(balance)
    });
    paid.await?
}

/// Two workers pay from one account, and the first stalls beyond its lease. Whether the first one's write was refused, and
/// the balance at the end.
async fn two_workers(
    keylatch: &Keylatch,
    bank: &Bank,
    account: i64,
    guarded: Guarded,
) -> Result<(bool, i64), PayError> {
    let stalled = pay(keylatch, bank, (account, 10), TTL * 3, guarded);
    let other = async {
        // It asks while the first has the lock, and gets it when the lease of that is over.
        tokio::time::sleep(TTL / 2).await;
        pay(keylatch, bank, (account, 50), Duration::ZERO, guarded).await
    };
    let (stalled, other) = tokio::join!(stalled, other);
    let after_other = other?;
    println!("  the second worker pays 50 and is told that it did: {after_other} are left");
    let refused = match stalled {
        Ok(balance) => {
            println!("  the first wakes up and writes {balance}");
            false
        }
        Err(PayError::Fence(error)) => {
            println!("  the first wakes up and is refused: {error}");
            true
        }
        Err(error) => return Err(error),
    };
    let balance = bank.balance(account)?;
    println!("  at the end: {balance}");
    Ok((refused, balance))
}

async fn run() -> Result<bool, PayError> {
    let (keylatch, bank) = (Keylatch::from_env()?, Bank::new()?);
    println!("with the token checked by the database:");
    let checked = two_workers(&keylatch, &bank, 1, Guarded::Yes).await?;
    println!("without:");
    let unchecked = two_workers(&keylatch, &bank, 2, Guarded::No).await?;
    println!("  the 50 that were acknowledged are lost");
    Ok(checked == (true, 50) && unchecked == (false, 90))
}

#[tokio::main]
async fn main() -> Result<ExitCode, PayError> {
    let kept = run().await?;
    println!("\n{}", if kept { "the stale write was refused" } else { "THE STALE WRITE WAS NOT REFUSED" });
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[tokio::test]
async fn a_stale_write_is_refused() {
    assert!(run().await.expect("nothing fails"));
}
