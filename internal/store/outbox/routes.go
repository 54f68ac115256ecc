package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/secretkey"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job/api"
)

// Deliveries returns all routes with their secrets, sorted by name, and whether rows are pending for
// each. If the secrets of a route cannot be decrypted, its URL and Secret are empty, and Error says why.
// A route that cannot be read is left out.
func (s *Outbox) Deliveries(ctx context.Context) ([]outbox.Delivery, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT name, doc, secret, (SELECT COALESCE(secret_key, '') FROM installation),
		CASE WHEN EXISTS (SELECT 1 FROM outbox o WHERE o.status = 'pending' AND o.route = routes.name) THEN 1 ELSE 0 END
		FROM routes ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all, bad := []outbox.Delivery{}, map[string]error{}
	for rows.Next() {
		var d outbox.Delivery
		var doc []byte
		var name, secret, used string
		var pending int
		if err := rows.Scan(&name, &doc, &secret, &used, &pending); err != nil {
			return nil, fmt.Errorf("read routes: %w", err)
		}
		if err := json.Unmarshal(doc, &d.Route); err != nil {
			bad[name] = fmt.Errorf("stored route %s cannot be read: %w; set it again", name, err)
			continue
		}
		d.Route.Name, d.Pending = name, pending == 1
		if err := decryptRoute(&d.Route, secret, s.secrets.decrypt); err != nil {
			err = s.routeError(name, err)
			d.Route.Error = err.Error()
			// A missing key of all routes is one item of another kind.
			if id, _ := secretkey.Encrypted(secret); id != used || !s.secrets.lacks(used) {
				bad[name] = err
			}
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	for name, err := range bad {
		s.RecordFailure(ctx, troubled.Route, name, err)
	}
	for _, d := range all {
		if d.Route.Error == "" {
			s.ClearFailure(ctx, troubled.Route, d.Route.Name)
		}
	}
	return all, nil
}

// Route returns one route with its secrets. If they cannot be decrypted, URL and Secret are
// empty, and Error says why.
func (s *Outbox) Route(ctx context.Context, name string) (api.Route, error) {
	var r api.Route
	var doc []byte
	var secret string
	err := s.Reader.QueryRowContext(ctx, `SELECT doc, secret FROM routes WHERE name = $1`, name).Scan(&doc, &secret)
	if errors.Is(err, sql.ErrNoRows) {
		return r, &query.NotFoundError{What: "route " + name}
	}
	if err == nil {
		err = json.Unmarshal(doc, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read route %s: %w", name, err)
	}
	r.Name = name
	if err := decryptRoute(&r, secret, s.secrets.decrypt); err != nil {
		r.Error = s.routeError(name, err).Error()
	}
	return r, nil
}

// SetRoute stores a valid route, new or changed, with its secrets encrypted. The error is
// *outbox.SecretKeyError if this server has no key.
func (s *Outbox) SetRoute(ctx context.Context, r api.Route) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		key, err := s.keyToEncrypt(ctx, t)
		if err != nil {
			return err
		}
		doc, secret, err := encryptRoute(key, r)
		if err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `INSERT INTO routes (name, doc, secret, events, changed_at, reserved_by, reserved_until)
			VALUES ($1, $2, $3, $4, $5, '', 0) ON CONFLICT (name) DO UPDATE SET
			doc = excluded.doc, secret = excluded.secret, events = excluded.events, changed_at = excluded.changed_at`,
			r.Name, doc, secret, ","+strings.Join(r.Match.Events, ",")+",", db.Micros(r.ChangedAt))
		if err != nil {
			return fmt.Errorf("store route %s: %w", r.Name, err)
		}
		return nil
	})
}

// DeleteRoute deletes a route and drops its pending rows.
func (s *Outbox) DeleteRoute(ctx context.Context, name string, now time.Time) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		res, err := t.ExecContext(ctx, `DELETE FROM routes WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("delete route %s: %w", name, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, &query.NotFoundError{What: "route " + name})
		}
		_, err = t.ExecContext(ctx, `UPDATE outbox SET status = 'dropped', last_error = 'the route was deleted', done_at = $2
			WHERE status = 'pending' AND route = $1`, name, db.Micros(now))
		if err != nil {
			return fmt.Errorf("drop the rows of route %s: %w", name, err)
		}
		return nil
	})
}

// ReleaseRoutes ends the reservations of a server that was killed. Only one server uses a data
// directory at a time.
func (s *Outbox) ReleaseRoutes(ctx context.Context) error {
	return s.Change(ctx, "release the routes of a server that was killed", `UPDATE routes SET reserved_by = '', reserved_until = 0 WHERE reserved_by <> ''`)
}

// ReserveRoute reserves a route for a server until a time, and reports whether it could: then no other
// server delivers to the route. A server prolongs its own reservation; until in the past ends it. A reservation
// that ends later than outbox.ReserveTime from now was made by a clock that was ahead.
func (s *Outbox) ReserveRoute(ctx context.Context, name, owner string, now, until time.Time) (bool, error) {
	mine := false
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		res, err := t.ExecContext(ctx, `UPDATE routes SET reserved_by = $2, reserved_until = $4
			WHERE name = $1 AND (reserved_by = $2 OR reserved_until <= $3 OR reserved_until > $5)`,
			name, owner, db.Micros(now), db.Micros(until), db.Micros(clock.LatestNow(now).Add(outbox.ReserveTime)))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		mine = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("reserve route %s: %w", name, err)
	}
	return mine, nil
}
