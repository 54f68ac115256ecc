package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/index"
)

// Deliveries returns every route with its secret, by name, and whether something waits
// for it. A route that cannot be read is left out.
func (s *Store) Deliveries(ctx context.Context) ([]index.Delivery, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT name, doc, secret,
		CASE WHEN EXISTS (SELECT 1 FROM outbox o WHERE o.status = 'pending' AND o.route = routes.name) THEN 1 ELSE 0 END
		FROM routes ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below tells of any error
	all, bad := []index.Delivery{}, map[string]error{}
	for rows.Next() {
		var d index.Delivery
		var doc []byte
		var name, secret string
		var pending int
		if err := rows.Scan(&name, &doc, &secret, &pending); err != nil {
			return nil, fmt.Errorf("read routes: %w", err)
		}
		if err := json.Unmarshal(doc, &d.Route); err != nil {
			bad[name] = fmt.Errorf("stored route %s cannot be read: %w; set it again", name, err)
			continue
		}
		d.Route.Secret, d.Pending = secret, pending == 1
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	for name, err := range bad {
		s.failed(ctx, troubleRoute, name, err)
	}
	for _, d := range all {
		s.done(ctx, troubleRoute, d.Route.Name)
	}
	return all, nil
}

// Route returns one route with its secret.
func (s *Store) Route(ctx context.Context, name string) (index.Route, error) {
	var r index.Route
	var doc []byte
	var secret string
	err := s.reader.QueryRowContext(ctx, `SELECT doc, secret FROM routes WHERE name = $1`, name).Scan(&doc, &secret)
	if errors.Is(err, sql.ErrNoRows) {
		return r, &index.NotFoundError{What: "route " + name}
	}
	if err == nil {
		err = json.Unmarshal(doc, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read route %s: %w", name, err)
	}
	r.Secret = secret
	return r, nil
}

// SetRoute stores a route, new or changed. Check it before.
func (s *Store) SetRoute(ctx context.Context, r index.Route) error {
	secret := r.Secret
	r.Secret = ""
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode route %s: %w", r.Name, err)
	}
	return s.write(ctx, func(t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO routes (name, doc, secret, events, changed_at, owner, claimed_until)
			VALUES ($1, $2, $3, $4, $5, '', 0) ON CONFLICT (name) DO UPDATE SET
			doc = excluded.doc, secret = excluded.secret, events = excluded.events, changed_at = excluded.changed_at`,
			r.Name, string(doc), secret, ","+strings.Join(r.Match.Events, ",")+",", micros(r.ChangedAt))
		if err != nil {
			return fmt.Errorf("store route %s: %w", r.Name, err)
		}
		return nil
	})
}

// DeleteRoute deletes a route. What waits for it is dropped.
func (s *Store) DeleteRoute(ctx context.Context, name string, now time.Time) error {
	return s.write(ctx, func(t *tx) error {
		res, err := t.ExecContext(ctx, `DELETE FROM routes WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("delete route %s: %w", name, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, &index.NotFoundError{What: "route " + name})
		}
		_, err = t.ExecContext(ctx, `UPDATE outbox SET status = 'dropped', last_error = 'the route was deleted', done_at = $2
			WHERE status = 'pending' AND route = $1`, name, micros(now))
		if err != nil {
			return fmt.Errorf("drop what waits for route %s: %w", name, err)
		}
		return nil
	})
}

// ClaimRoute makes a server the only one that delivers to a route until a time, and
// reports whether it is. A claim of its own is prolonged; until in the past gives it up.
func (s *Store) ClaimRoute(ctx context.Context, name, owner string, now, until time.Time) (bool, error) {
	mine := false
	err := s.write(ctx, func(t *tx) error {
		res, err := t.ExecContext(ctx, `UPDATE routes SET owner = $2, claimed_until = $4
			WHERE name = $1 AND (owner = $2 OR claimed_until <= $3)`, name, owner, micros(now), micros(until))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		mine = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claim route %s: %w", name, err)
	}
	return mine, nil
}
