//! A body that goes to the server while its answer is awaited.

use super::{Attempt, BodyRead, Delivered, Outcome, Upload, Uploading};
use crate::proto::reason::Reason;
use crate::ring::Driver;
use crate::session::http::answer::{Answer, Head};
use crate::session::http::held::Held;
use crate::session::ms;
use crate::session::relay::Broken;
use crate::session::tries::Tries;
use crate::stats::Tally;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context as Task, Poll};

impl<'x, 'a, D: Driver> Attempt<'x, 'a, D> {
    /// Uploads until the head of the answer is there. `close` is asked then.
    pub(super) async fn await_head(
        &self,
        answer: &Answer<'x, '_, 'a, D>,
        upload: &Cell<Upload>,
        uploading: &mut Uploading<'_>,
        close: impl Fn() -> bool,
    ) -> Result<Head, (Reason, bool)> {
        self.client.timer.clear(); // the backend's time begins when it has the request
        let mut reading = pin!(answer.read_head(close));
        poll_fn(|task| {
            self.poll_upload(uploading, upload, task);
            if let Upload::Broken(reason) = upload.get() {
                return Poll::Ready(Err((reason, false)));
            }
            reading.as_mut().poll(task)
        })
        .await
    }

    pub(super) fn poll_upload(&self, uploading: &mut Uploading<'_>, upload: &Cell<Upload>, task: &mut Task<'_>) {
        if upload.get() != Upload::Running {
            return;
        }
        let Poll::Ready(result) = uploading.as_mut().poll(task) else { return };
        upload.set(match result {
            Ok(()) => Upload::Done,
            // It may have answered and closed without reading on: its answer counts.
            Err(Broken::Write(_)) => Upload::Refused,
            Err(Broken::WriteTimeout) => Upload::Broken(Reason::BackendSendTimeout),
            Err(Broken::Read(_) | Broken::Cut) => Upload::Broken(Reason::ClientGone),
            Err(Broken::ReadTimeout) => Upload::Broken(Reason::BodyTimeout),
            Err(Broken::Malformed(reason)) => Upload::Broken(reason),
            Err(Broken::TooLarge) => Upload::Broken(Reason::BodyTooLarge),
        });
        self.client.timer.set(ms(self.request.location.proxy_first_byte_timeout));
    }

    /// The body is held: it can be sent again, whatever becomes of this attempt.
    pub(super) async fn replay(self, held: &Held, accepted_before: u64, tries: &Tries<'_, D>) -> Outcome<D> {
        match self.answered(held, accepted_before, tries).await {
            Ok(delivered) => self.conclude(delivered, BodyRead::Input(0)),
            Err(outcome) => outcome,
        }
    }

    async fn answered(&self, held: &Held, accepted_before: u64, tries: &Tries<'_, D>) -> Result<Delivered, Outcome<D>> {
        let upload = Cell::new(Upload::Running);
        let sent = Tally { whole: &self.picked.stats().bytes_out, part: &self.client.record.to_server };
        let send_ms = ms(self.request.location.proxy_send_timeout);
        let mut uploading: Uploading<'_> = pin!(held.send(self.client, &self.socket, send_ms, sent));
        let close = || self.must_close(self.request.head);
        let head = self.await_head(&self.answer(&upload), &upload, &mut uploading, close).await;
        let head = head.map_err(|failure| match upload.get() {
            Upload::Broken(reason @ Reason::BackendSendTimeout) => self.failed((reason, true), accepted_before, true),
            Upload::Broken(reason) => {
                self.socket.reset_when_dropped();
                Outcome::Refused(reason)
            }
            _ => self.failed(failure, accepted_before, true),
        })?;
        if let Some(outcome) = self.unwanted(&head, tries) {
            return Err(outcome);
        }
        let delivered = self.deliver(head, &upload, Some(uploading)).await;
        if upload.get() != Upload::Done {
            self.socket.reset_when_dropped(); // it wants no more, and a buffer is not to wait for it
        }
        Ok(delivered)
    }
}
