//! The database: products, sales, and an outbox of the keys that have changed.
//!
//! A change of a product and the row of the outbox that reports it are one transaction, so neither is there without the other.
//! Readers use connections of their own. The database is in WAL mode: a reader sees the last commit before its query began, and
//! waits for no writer.
//!
//! Cost: the query of a product reads all sales twice, about 20 ms, because `sales` has no index by product. A change is a
//! commit without a wait for the disk.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

/// Products of a new database.
const PRODUCTS: u32 = 300;

/// Orders of a new database, each of four products.
const ORDERS: u32 = 30_000;

/// The wait of a writer for another.
const BUSY: Duration = Duration::from_secs(20);

// ANCHOR: query
/// The query of a product by its key, `product:17`: one row with one column, JSON. The web server and the cache use the
/// same. The products that are bought together are numbers: a copy of their names would need an invalidation of this key when
/// one of them gets another name. `read_at`, in Unix milliseconds, is the end of the query: SQLite computes the common table first, and an argument
/// from its row keeps the time from being a constant of the query.
pub(crate) const PRODUCT: &str = "
WITH found AS MATERIALIZED (
    SELECT id, name, price,
        (SELECT sum(amount) FROM sales WHERE product = p.id) AS sold,
        (SELECT json_group_array(id) FROM (
            SELECT other.product AS id FROM sales mine
            JOIN sales other ON other.order_id = mine.order_id AND other.product <> mine.product
            WHERE mine.product = p.id
            GROUP BY other.product ORDER BY count(*) DESC, other.product LIMIT 3)) AS together
    FROM products p WHERE id = substr(?1, 9))
SELECT json_object('id', id, 'name', name, 'price', price, 'sold', sold, 'together', json(together),
    'read_at', CAST(round(unixepoch(iif(id, 'now', NULL), 'subsec') * 1000) AS INTEGER))
FROM found";
// ANCHOR_END: query

const TABLES: &str = "
CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price INTEGER NOT NULL);
CREATE TABLE sales(order_id INTEGER NOT NULL, product INTEGER NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE outbox(number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL);
";

/// Sales from a multiplicative hash of their number: always the same, and more of the products with low numbers.
const SALES: &str = "
WITH RECURSIVE line(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM line WHERE n + 1 < 4 * ?1)
INSERT INTO sales SELECT n / 4,
    1 + ((n * 2654435761 >> 8) % ?2) * ((n * 40503 + 977 >> 3) % ?2) / ?2,
    1 + n * 7919 % 3
FROM line";

/// The database. Threads share it.
pub(crate) struct Database {
    file: PathBuf,
    /// The connection that writes.
    writer: Mutex<Connection>,
    /// Connections for reading that no thread uses now.
    readers: Mutex<Vec<Connection>>,
}

/// A product to be changed; `None` leaves a field as it is.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    /// In cents.
    pub(crate) price: Option<i64>,
}

/// A row of the outbox: the key of a product that has changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) number: i64,
    pub(crate) key: String,
}

/// The key of a product in the cache.
pub(crate) fn key(id: u32) -> String {
    format!("product:{id}")
}

impl Database {
    /// Opens a file, and fills it if it is new.
    pub(crate) fn open(file: &Path) -> rusqlite::Result<Database> {
        let mut writer = Connection::open(file)?;
        writer.busy_timeout(BUSY)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "synchronous", "normal")?;
        let version: i64 = writer.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            fill(&mut writer)?;
        }
        Ok(Database {
            file: file.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::default(),
        })
    }

    /// The product with this key, as JSON.
    pub(crate) fn product(&self, key: &str) -> rusqlite::Result<Option<String>> {
        self.read(|reader| {
            let mut query = reader.prepare_cached(PRODUCT)?;
            query.query_row([key], |row| row.get(0)).optional()
        })
    }

    /// The numbers and names of all products.
    pub(crate) fn names(&self) -> rusqlite::Result<Vec<(u32, String)>> {
        self.read(|reader| {
            let mut query = reader.prepare_cached("SELECT id, name FROM products ORDER BY id")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    // ANCHOR: change
    /// Changes a product, and reports its key in the outbox, in one transaction. `None` if there is no such product.
    pub(crate) fn change(&self, id: u32, change: &Change) -> rusqlite::Result<Option<Report>> {
        let key = key(id);
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction()?;
        let changed = transaction.execute(
            "UPDATE products SET name = coalesce(?2, name), price = coalesce(?3, price) WHERE id = ?1",
            params![id, change.name, change.price],
        )?;
        if changed == 0 {
            return Ok(None);
        }
        transaction.execute("INSERT INTO outbox(key) VALUES (?1)", [&key])?;
        let number = transaction.last_insert_rowid();
        transaction.commit()?;
        Ok(Some(Report { number, key }))
    }
    // ANCHOR_END: change

    /// The oldest rows of the outbox.
    pub(crate) fn reports(&self, most: u32) -> rusqlite::Result<Vec<Report>> {
        self.read(|reader| {
            let text = "SELECT number, key FROM outbox ORDER BY number LIMIT ?1";
            let mut query = reader.prepare_cached(text)?;
            let rows = query.query_map([most], |row| {
                Ok(Report {
                    number: row.get(0)?,
                    key: row.get(1)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The number of rows in the outbox.
    pub(crate) fn waiting_reports(&self) -> rusqlite::Result<u32> {
        self.read(|reader| reader.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)))
    }

    /// Removes the rows of the outbox up to a number.
    pub(crate) fn reported(&self, number: i64) -> rusqlite::Result<()> {
        let writer = lock(&self.writer);
        writer.execute("DELETE FROM outbox WHERE number <= ?1", [number])?;
        Ok(())
    }

    /// Reads with a connection that no other thread uses.
    fn read<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = lock(&self.readers).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => {
                let reader = Connection::open(&self.file)?;
                reader.busy_timeout(BUSY)?;
                reader.pragma_update(None, "query_only", true)?;
                reader
            }
        };
        let answer = ask(&reader)?;
        lock(&self.readers).push(reader);
        Ok(answer)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A transaction that a panic has cut off was rolled back when it was dropped.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fill(writer: &mut Connection) -> rusqlite::Result<()> {
    const FRUITS: [&str; 20] = [
        "Apple",
        "Apricot",
        "Bilberry",
        "Blackcurrant",
        "Cherry",
        "Elderflower",
        "Fig",
        "Gooseberry",
        "Grape",
        "Lemon",
        "Medlar",
        "Mulberry",
        "Orange",
        "Pear",
        "Plum",
        "Quince",
        "Raspberry",
        "Rhubarb",
        "Rose hip",
        "Strawberry",
    ];
    const GOODS: [&str; 15] = [
        "jam", "jelly", "syrup", "chutney", "compote", "vinegar", "butter", "cordial", "tea",
        "leather", "crumble", "sorbet", "curd", "mustard", "cake",
    ];
    let transaction = writer.transaction()?;
    transaction.execute_batch(TABLES)?;
    {
        let mut insert = transaction.prepare("INSERT INTO products VALUES (?1, ?2, ?3)")?;
        for id in 1..=PRODUCTS {
            let place = id as usize - 1;
            let (fruit, good) = (FRUITS[place % FRUITS.len()], GOODS[place / FRUITS.len()]);
            // The page has to show the letters of this name, not bold ones.
            let name = match id {
                3 => "Salt <b>& pepper</b>".to_owned(),
                _ => format!("{fruit} {good}"),
            };
            insert.execute(params![id, name, 150 + id * 7919 % 1100])?;
        }
    }
    transaction.execute(SALES, [ORDERS, PRODUCTS])?;
    transaction.execute_batch(
        "CREATE INDEX sales_of_order ON sales(order_id); PRAGMA user_version = 1;",
    )?;
    transaction.commit()
}
