-- +goose Up
-- Names say what a column holds. "Claim" is left for a queued run that a worker has claimed.
ALTER TABLE runs RENAME COLUMN heard_at TO reported_at;
ALTER TABLE runs RENAME COLUMN gone_at TO disconnected_at;
ALTER TABLE runs RENAME COLUMN gone_confirm_us TO disconnect_confirm_us;
ALTER TABLE attempts RENAME COLUMN claim TO packer;
ALTER TABLE routes RENAME COLUMN owner TO reserved_by;
ALTER TABLE routes RENAME COLUMN claimed_until TO reserved_until;
ALTER TABLE run_owners RENAME COLUMN claimed_at TO owned_since;
ALTER TABLE waiting_agents RENAME COLUMN asked_by TO requested_by;
DROP INDEX runs_gone;
CREATE INDEX runs_disconnected ON runs (disconnected_at) WHERE leased = 1;
DROP INDEX outbox_settled;
CREATE INDEX outbox_done ON outbox (done_at) WHERE status <> 'pending';

-- +goose Down
DROP INDEX outbox_done;
CREATE INDEX outbox_settled ON outbox (done_at) WHERE status <> 'pending';
DROP INDEX runs_disconnected;
ALTER TABLE waiting_agents RENAME COLUMN requested_by TO asked_by;
ALTER TABLE run_owners RENAME COLUMN owned_since TO claimed_at;
ALTER TABLE routes RENAME COLUMN reserved_until TO claimed_until;
ALTER TABLE routes RENAME COLUMN reserved_by TO owner;
ALTER TABLE attempts RENAME COLUMN packer TO claim;
ALTER TABLE runs RENAME COLUMN disconnect_confirm_us TO gone_confirm_us;
ALTER TABLE runs RENAME COLUMN disconnected_at TO gone_at;
ALTER TABLE runs RENAME COLUMN reported_at TO heard_at;
CREATE INDEX runs_gone ON runs (gone_at) WHERE leased = 1;
