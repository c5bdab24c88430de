//! Messages that were rendered for another kind of receiver: one was put under the same name since.
//!
//! Pure but for the store. What a message is about is in the store, as it is now: it is rendered again, in the form that the
//! receiver takes today, and stored before it is sent, so that every later attempt sends the same. A digest is rendered from the
//! facts that were stored with it. What cannot be rendered again, a test or a digest of which no facts are stored, is dead with
//! that reason: nobody could read it where it would go.

use jiff::Timestamp;

use super::claiming::Claimer;
use crate::alert::message_about;
use crate::digest;
use crate::limits::GROUP_MEMBERS_MAX;
use crate::model::{Content, Delivery, DeliveryId, MessageKind, Notification};
use crate::notify::Renderer;
use crate::store::{Groups, Outbox, StoreError};

impl<S: Groups + Outbox> Claimer<S> {
    /// The claimed deliveries, each in the form that the receiver takes, and those whose claims are to be given up, for
    /// the store failed meanwhile.
    pub(super) async fn converted(&self, claimed: Vec<Delivery>, now: Timestamp) -> (Vec<Delivery>, Vec<DeliveryId>) {
        let Some(renderer) = self.composer.renderer() else { return (claimed, Vec::new()) };
        let (mut fit, mut failed) = (Vec::with_capacity(claimed.len()), Vec::new());
        for delivery in claimed {
            let Some(before) = delivery.rendered_for.clone().filter(|kind| kind != renderer.kind()) else {
                fit.push(delivery);
                continue;
            };
            let id = delivery.id.clone();
            match self.convert(renderer, delivery, &before, now).await {
                Ok(converted) => fit.extend(converted),
                Err(error) => {
                    tracing::error!(delivery = id.as_str(), %error, "cannot render again for another kind of receiver");
                    failed.push(id);
                }
            }
        }
        (fit, failed)
    }

    /// The delivery in the form that the receiver takes; none where it cannot be rendered again, and is dead.
    async fn convert(
        &self,
        renderer: &Renderer,
        delivery: Delivery,
        before: &str,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        let (id, receiver, kind) = (delivery.id.as_str(), self.composer.receiver().as_str(), renderer.kind());
        let Some(content) = self.rendered_again(renderer, &delivery, now).await? else {
            let reason = format!(
                "rendered for the kind {before}, of which {receiver} was then; it is {kind} now, and this message cannot be \
                 rendered again"
            );
            self.store.reject(&delivery.id, &reason).await?;
            return Ok(None);
        };
        self.store.rewrite(&delivery.id, &content, kind).await?;
        tracing::info!(delivery = id, receiver, before, kind, "rendered again for another kind of receiver");
        let rendered_for = Some(kind.to_string());
        let notification = Notification { content, rendered_for, ..delivery.notification };
        Ok(Some(Delivery { notification, in_reply_to: None, ..delivery }))
    }

    async fn rendered_again(
        &self,
        renderer: &Renderer,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Option<Content>, StoreError> {
        match delivery.kind {
            MessageKind::AlertFiring | MessageKind::AlertResolved => {
                let found = self.store.facts_of(&delivery.id).await?;
                let rendered = found.map(|facts| renderer.render(&message_about(facts, delivery.created_at)));
                Ok(rendered.map(|rendered| rendered.into_content(self.composer.receiver(), delivery.id.as_str())))
            }
            MessageKind::AlertGroup => {
                let facts = self.store.told_by(&delivery.id).await?;
                let grouped = renderer.group(&facts, 0, now, GROUP_MEMBERS_MAX);
                let whole = grouped.filter(|grouped| grouped.named == facts.len());
                Ok(whole.map(|whole| whole.rendered.into_content(self.composer.receiver(), delivery.id.as_str())))
            }
            MessageKind::Digest => {
                let found = self.store.digest_of(&delivery.id).await?;
                let rendered = found.map(|facts| renderer.render(&digest::message(facts, delivery.created_at)));
                Ok(rendered.map(|rendered| rendered.into_content(self.composer.receiver(), delivery.id.as_str())))
            }
            _ => Ok(None),
        }
    }
}
