package fill

import (
	"context"
	"errors"
	"strconv"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/store"
)

// Tokens makes n tokens of the scope agent.
func Tokens(ctx context.Context, o store.Options, n int) (secrets []string, err error) {
	db, err := store.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for i := range n {
		secret, t, err := access.NewToken("agent "+strconv.Itoa(i), access.Agent, time.Time{}, time.Now())
		if err == nil {
			err = db.CreateToken(ctx, t)
		}
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
