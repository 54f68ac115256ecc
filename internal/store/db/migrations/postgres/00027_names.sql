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
ALTER INDEX runs_gone RENAME TO runs_disconnected;
ALTER INDEX outbox_settled RENAME TO outbox_done;

-- +goose Down
ALTER INDEX outbox_done RENAME TO outbox_settled;
ALTER INDEX runs_disconnected RENAME TO runs_gone;
ALTER TABLE waiting_agents RENAME COLUMN requested_by TO asked_by;
ALTER TABLE run_owners RENAME COLUMN owned_since TO claimed_at;
ALTER TABLE routes RENAME COLUMN reserved_until TO claimed_until;
ALTER TABLE routes RENAME COLUMN reserved_by TO owner;
ALTER TABLE attempts RENAME COLUMN packer TO claim;
ALTER TABLE runs RENAME COLUMN disconnect_confirm_us TO gone_confirm_us;
ALTER TABLE runs RENAME COLUMN disconnected_at TO gone_at;
ALTER TABLE runs RENAME COLUMN reported_at TO heard_at;
