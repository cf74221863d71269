//! Another number of deliveries to an upstream: its pending set is divided anew.

use std::sync::Arc;

use crate::invalidate::recorder::Recorder;
use crate::invalidate::settings::GROUP;
use crate::invalidate::spool::{DeliveryId, SpoolResult, UpstreamRow};
use crate::invalidate::target;

impl Recorder {
    /// Divides a pending set anew. An end in the middle loses nothing: the number of the new tables is remembered, and the
    /// old ones are emptied into them again.
    pub(super) fn divide(
        &mut self,
        name: &str,
        mut row: UpstreamRow,
        deliveries: u16,
    ) -> SpoolResult<UpstreamRow> {
        let spool = Arc::clone(&self.spool);
        let moving = format!("moving {name}");
        let id = spool.write(|group| {
            let id = match group.number(&moving)? {
                0 => {
                    let next = group.number("next")?;
                    group.set_number("next", next + 1)?;
                    group.set_number(&moving, next)?;
                    next
                }
                id => id,
            };
            Ok(id as u32)
        })?;
        let to = |key: &[u8]| DeliveryId {
            upstream: id,
            number: target::delivery(key, deliveries),
        };
        for from in row.delivery_ids() {
            while spool.write(|group| group.move_some(from, to, GROUP))? > 0 {}
        }
        while spool.write(|group| group.move_again(row.id, id, GROUP))? > 0 {}
        (row.id, row.deliveries) = (id, deliveries);
        spool.write(|group| {
            group.set_row(name, &row)?;
            group.set_number(&moving, 0)
        })?;
        Ok(row)
    }
}
