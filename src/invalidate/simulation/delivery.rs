//! A delivery in a simulation: the work of its thread, one action at a time.

use crossbeam_channel::TryRecvError;

use super::server::CacheBehaviour;
use super::state::{Connection, Simulation};
use crate::invalidate::delivery::{DeliveryAction, DeliveryEvent};
use crate::invalidate::message::RecorderMessage;
use crate::invalidate::settings::ForgetMethod;
use crate::pool::UpstreamFailure;
use crate::proxy::simulation::network::ConnectionPipes;
use crate::proxy::simulation::trace;

impl Simulation {
    /// A delivery performs one action, if it need not wait.
    pub(super) fn run(&mut self, number: usize) {
        let now = self.now();
        let delivery = &mut self.deliveries[number];
        let thread = &mut delivery.thread;
        let connection = delivery
            .connection
            .and_then(|key| self.connections.get_mut(key));
        let event = match thread.delivery.next(now) {
            DeliveryAction::End => {
                self.close(number);
                self.deliveries.remove(number);
                return;
            }
            DeliveryAction::Close => return self.close(number),
            DeliveryAction::Report(report) => {
                let (step, id) = (self.step, thread.id);
                trace(|| format!("step {step} delivery {id:?} reports {report:?}"));
                let message = RecorderMessage::Delivery(thread.id, report);
                match self.running.sender.send(message) {
                    Ok(()) => return,
                    Err(_) => DeliveryEvent::RecorderGone,
                }
            }
            DeliveryAction::Connect => {
                let port = thread.address.rsplit(':').next();
                let port = port.and_then(|port| port.parse().ok());
                let server: usize = port.map_or(0, |port: usize| port - 1);
                DeliveryEvent::Connected(match self.servers[server].behaviour {
                    CacheBehaviour::Refuses => {
                        Err(UpstreamFailure::ConnectDeadline(thread.timeout))
                    }
                    _ => {
                        delivery.connection = Some(self.connections.insert(Connection {
                            server,
                            pipes: ConnectionPipes::default(),
                            input: Vec::new(),
                            closed: false,
                        }));
                        Ok(())
                    }
                })
            }
            DeliveryAction::Send(bytes) => DeliveryEvent::Sent(match connection {
                Some(connection) if !connection.pipes.outward.has_ended() => {
                    connection.pipes.outward.send(bytes);
                    Ok(())
                }
                _ => Err(UpstreamFailure::Closed),
            }),
            DeliveryAction::Receive(until) => {
                let Some(connection) = connection else {
                    return;
                };
                let inward = &mut connection.pipes.inward;
                let piece = inward.receive(Some(&mut self.rng));
                if piece.is_empty() && !inward.is_at_end() && now.instant < until {
                    return;
                }
                let received = match piece.is_empty() {
                    false => Ok(&piece[..]),
                    true if inward.is_at_end() => Err(UpstreamFailure::Closed),
                    true => Err(UpstreamFailure::ReadDeadline(thread.timeout)),
                };
                return thread
                    .delivery
                    .handle(DeliveryEvent::Received(received), now);
            }
            DeliveryAction::AwaitStep => match thread.steps.try_recv() {
                Ok(step) => DeliveryEvent::Step(step),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => DeliveryEvent::RecorderGone,
            },
            DeliveryAction::Pause(until) => match thread.steps.try_recv() {
                Ok(step) => DeliveryEvent::Step(step),
                Err(_) if now.instant < until => return,
                Err(_) => DeliveryEvent::Paused,
            },
            DeliveryAction::Scan(after) => match thread.steps.try_recv() {
                Ok(step) => DeliveryEvent::Step(step),
                Err(_) => DeliveryEvent::Scanned(thread.scan(after)),
            },
            DeliveryAction::AwaitChanges(until) => {
                let until = *delivery.until.get_or_insert(until);
                let event = match thread.steps.try_recv() {
                    Ok(step) => DeliveryEvent::Step(step),
                    Err(_) => thread.take_changes(),
                };
                if matches!(event, DeliveryEvent::NoChanges { .. }) && now.instant < until {
                    return;
                }
                delivery.until = None;
                event
            }
            DeliveryAction::TakeChanges => thread.take_changes(),
        };
        let (step, id) = (self.step, thread.id);
        trace(|| format!("step {step} delivery {id:?} {event:?}"));
        thread.delivery.handle(event, now);
    }

    /// A delivery closes its connection.
    fn close(&mut self, number: usize) {
        let key = self.deliveries[number].connection.take();
        let Some(connection) = key.and_then(|key| self.connections.get_mut(key)) else {
            return;
        };
        connection.pipes.inward.cut();
        connection.closed = true;
        match self.target.forget {
            ForgetMethod::Update => connection.pipes.outward.cut(),
            _ => connection.pipes.outward.end(),
        }
    }
}
