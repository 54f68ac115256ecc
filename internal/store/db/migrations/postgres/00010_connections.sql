-- +goose Up
-- How long the agent has to come back after gone_at before the run is lost; 0: its
-- connection only fell silent, and the lease decides.
ALTER TABLE runs ADD COLUMN gone_confirm_us BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE runs DROP COLUMN gone_confirm_us;
