package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// connector makes connections to PostgreSQL. Its errors are one line that begins with the cause.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) {
		return nil, &connectError{failed}
	}
	return conn, err
}

// connectError is the error of a connection that could not be made.
type connectError struct{ err *pgconn.ConnectError }

func (e *connectError) Unwrap() error { return e.err }

// Error returns the errors of all tries. Those that the server itself returned come first: the other
// tries, with or without TLS, failed before the server could answer.
func (e *connectError) Error() string {
	tries := []error{e.err.Unwrap()}
	if several, ok := tries[0].(interface{ Unwrap() []error }); ok {
		tries = several.Unwrap()
	}
	var answers, others []string
	for _, try := range tries {
		var answer *pgconn.PgError
		text := strings.ReplaceAll(try.Error(), "\n", "; ")
		switch {
		case slices.Contains(answers, text) || slices.Contains(others, text):
		case errors.As(try, &answer):
			answers = append(answers, text)
		default:
			others = append(others, text)
		}
	}
	return fmt.Sprintf("connect to database %s as %s: %s", e.err.Config.Database, e.err.Config.User, strings.Join(append(answers, others...), "; "))
}
