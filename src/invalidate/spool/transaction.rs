//! A transaction: changes that are recorded together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use redb::{
    AccessGuard, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use crate::invalidate::rings::RingHistory;
use crate::invalidate::spool::error::{SpoolError, SpoolResult};
use crate::invalidate::spool::record::{
    self, DeliveryId, PendingChange, PendingRecord, UpstreamRow,
};

type Bytes = &'static [u8];

pub(super) fn pending(name: &str) -> TableDefinition<'_, Bytes, Bytes> {
    TableDefinition::new(name)
}

const UPSTREAMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("upstreams");
const RINGS: TableDefinition<'_, &str, &str> = TableDefinition::new("rings");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

fn again(name: &str) -> TableDefinition<'_, (u64, u64), Bytes> {
    TableDefinition::new(name)
}

/// An entry of a pending set.
pub(super) fn pending_change(
    key: &AccessGuard<'_, Bytes>,
    record: &AccessGuard<'_, Bytes>,
) -> SpoolResult<PendingChange> {
    let record = PendingRecord::decode(record.value())
        .ok_or_else(|| SpoolError::Damaged("a record is malformed".to_owned()))?;
    Ok(PendingChange {
        key: key.value().into(),
        record,
    })
}

/// Second deletes that are due, and the time of the next.
pub(crate) type DueDeletes = (Vec<Box<[u8]>>, Option<u64>);

/// A transaction that is being written.
pub(crate) struct SpoolTransaction<'t> {
    transaction: &'t WriteTransaction,
    /// Tables are opened once per group.
    pending: HashMap<DeliveryId, Table<'t, Bytes, Bytes>>,
    scratch: Vec<u8>,
}

impl<'t> SpoolTransaction<'t> {
    pub(super) fn new(transaction: &'t WriteTransaction) -> SpoolTransaction<'t> {
        SpoolTransaction {
            transaction,
            pending: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    fn delivery(&mut self, delivery: DeliveryId) -> SpoolResult<&mut Table<'t, Bytes, Bytes>> {
        Ok(match self.pending.entry(delivery) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                place.insert(self.transaction.open_table(pending(&delivery.table()))?)
            }
        })
    }

    /// Records a change for an upstream. It supersedes the one recorded for the key before.
    pub(crate) fn put(
        &mut self,
        delivery: DeliveryId,
        key: &[u8],
        record: &PendingRecord,
    ) -> SpoolResult<()> {
        let mut bytes = std::mem::take(&mut self.scratch);
        record.encode(&mut bytes);
        self.delivery(delivery)?.insert(key, &bytes[..])?;
        self.scratch = bytes;
        Ok(())
    }

    /// Records it unless a later change is recorded for the key.
    pub(crate) fn put_older(
        &mut self,
        delivery: DeliveryId,
        key: &[u8],
        record: &PendingRecord,
    ) -> SpoolResult<()> {
        let later = match self.delivery(delivery)?.get(key)? {
            Some(found) => record::sequence(found.value()) > Some(record.sequence),
            None => false,
        };
        match later {
            true => Ok(()),
            false => self.put(delivery, key, record),
        }
    }

    /// Removes a delivered change, unless a later one has superseded it.
    pub(crate) fn remove(
        &mut self,
        delivery: DeliveryId,
        key: &[u8],
        sequence: u64,
    ) -> SpoolResult<()> {
        let table = self.delivery(delivery)?;
        let same = match table.get(key)? {
            Some(found) => record::sequence(found.value()) == Some(sequence),
            None => false,
        };
        if same {
            table.remove(key)?;
        }
        Ok(())
    }

    /// The number of keys pending in a delivery.
    pub(crate) fn len(&mut self, delivery: DeliveryId) -> SpoolResult<u64> {
        Ok(self.delivery(delivery)?.len()?)
    }

    /// All pending changes of a delivery, unless they take more than `most` bytes.
    pub(crate) fn rest(
        &mut self,
        delivery: DeliveryId,
        most: usize,
    ) -> SpoolResult<Option<Vec<PendingChange>>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for entry in self.delivery(delivery)?.iter()? {
            let (key, record) = entry?;
            bytes += key.value().len() + record.value().len();
            if bytes > most {
                return Ok(None);
            }
            found.push(pending_change(&key, &record)?);
        }
        Ok(Some(found))
    }

    /// Moves up to `most` records of one delivery to others. Returns their number.
    pub(crate) fn move_some(
        &mut self,
        from: DeliveryId,
        to: impl Fn(&[u8]) -> DeliveryId,
        most: usize,
    ) -> SpoolResult<usize> {
        let mut moving: Vec<PendingChange> = Vec::new();
        let table = self.delivery(from)?;
        while moving.len() < most
            && let Some((key, record)) = table.pop_first()?
        {
            moving.push(pending_change(&key, &record)?);
        }
        for PendingChange { key, record } in &moving {
            self.put_older(to(key), key, record)?;
        }
        Ok(moving.len())
    }

    /// Drops all pending changes of a delivery.
    pub(crate) fn clear(&mut self, delivery: DeliveryId) -> SpoolResult<()> {
        self.pending.remove(&delivery);
        self.transaction.delete_table(pending(&delivery.table()))?;
        Ok(())
    }

    /// Notes a second delete for a time in Unix microseconds.
    pub(crate) fn put_again(
        &mut self,
        upstream: u32,
        due: u64,
        sequence: u64,
        key: &[u8],
    ) -> SpoolResult<()> {
        let name = format!("again.{upstream}");
        let mut table = self.transaction.open_table(again(&name))?;
        table.insert((due, sequence), key)?;
        Ok(())
    }

    /// Takes up to `most` second deletes: those that are due, and those that are further off than `ahead`, because the
    /// clock has gone back since. Also returns the time at which the next is due.
    pub(crate) fn take_again(
        &mut self,
        upstream: u32,
        now: u64,
        ahead: u64,
        most: usize,
    ) -> SpoolResult<DueDeletes> {
        let name = format!("again.{upstream}");
        let mut table = self.transaction.open_table(again(&name))?;
        let mut due = Vec::new();
        while due.len() < most
            && table
                .first()?
                .is_some_and(|(when, _)| when.value().0 <= now)
        {
            due.extend(table.pop_first()?.map(|(_, key)| key.value().into()));
        }
        while due.len() < most
            && table
                .last()?
                .is_some_and(|(when, _)| when.value().0 > now.saturating_add(ahead))
        {
            due.extend(table.pop_last()?.map(|(_, key)| key.value().into()));
        }
        let next = table.first()?.map(|(when, _)| when.value().0);
        Ok((due, next))
    }

    /// Gives up to `most` second deletes of an upstream another number. Returns their number.
    pub(crate) fn move_again(&mut self, from: u32, to: u32, most: usize) -> SpoolResult<usize> {
        let (from, to) = (format!("again.{from}"), format!("again.{to}"));
        let mut from = self.transaction.open_table(again(&from))?;
        let mut to = self.transaction.open_table(again(&to))?;
        let mut count = 0;
        while count < most
            && let Some((when, key)) = from.pop_first()?
        {
            to.insert(when.value(), key.value())?;
            count += 1;
        }
        Ok(count)
    }

    /// Drops the second deletes of an upstream.
    pub(crate) fn clear_again(&mut self, upstream: u32) -> SpoolResult<()> {
        let name = format!("again.{upstream}");
        self.transaction.delete_table(again(&name))?;
        Ok(())
    }

    /// All upstreams that were ever targets, by target and address.
    pub(crate) fn rows(&mut self) -> SpoolResult<Vec<(String, UpstreamRow)>> {
        let table = self.transaction.open_table(UPSTREAMS)?;
        let rows = table.iter()?.map(|entry| {
            let (name, row) = entry?;
            let row = UpstreamRow::decode(row.value());
            let row = row
                .ok_or_else(|| SpoolError::Damaged("an upstream's row is malformed".to_owned()))?;
            Ok((name.value().to_owned(), row))
        });
        rows.collect()
    }

    pub(crate) fn set_row(&mut self, name: &str, row: &UpstreamRow) -> SpoolResult<()> {
        let mut table = self.transaction.open_table(UPSTREAMS)?;
        table.insert(name, &row.encode()[..])?;
        Ok(())
    }

    /// The rings of every target, by its name.
    pub(crate) fn rings(&mut self) -> SpoolResult<Vec<(String, RingHistory)>> {
        let table = self.transaction.open_table(RINGS)?;
        let rings = table.iter()?.map(|entry| {
            let (target, text) = entry?;
            let rings = text.value().parse();
            let rings = rings.map_err(|error| {
                SpoolError::Damaged(format!("the rings of a target are malformed: {error}"))
            })?;
            Ok((target.value().to_owned(), rings))
        });
        rings.collect()
    }

    pub(crate) fn set_rings(&mut self, target: &str, rings: &RingHistory) -> SpoolResult<()> {
        let mut table = self.transaction.open_table(RINGS)?;
        table.insert(target, &rings.to_string()[..])?;
        Ok(())
    }

    /// Drops the rings of a target.
    pub(crate) fn clear_rings(&mut self, target: &str) -> SpoolResult<()> {
        let mut table = self.transaction.open_table(RINGS)?;
        table.remove(target)?;
        Ok(())
    }

    /// A number that is stored under a name; 0 if it never was set.
    pub(crate) fn number(&mut self, name: &str) -> SpoolResult<u64> {
        let table = self.transaction.open_table(NUMBERS)?;
        Ok(table.get(name)?.map_or(0, |number| number.value()))
    }

    pub(crate) fn set_number(&mut self, name: &str, number: u64) -> SpoolResult<()> {
        let mut table = self.transaction.open_table(NUMBERS)?;
        table.insert(name, number)?;
        Ok(())
    }
}
