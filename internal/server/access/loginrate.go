package access

import (
	"net/http"
	"time"

	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
)

const (
	// maxLoginsOfAddress and maxLogins are how many logins one address and all clients may begin
	// within loginInterval. Each login writes to the database, also if it is never completed.
	maxLoginsOfAddress = 30
	maxLogins          = 600
	loginInterval      = time.Minute
)

// loginRate limits how often logins begin.
type loginRate struct{ ofAddress, all *shares.Rate }

func newLoginRate(now func() time.Time) loginRate {
	return loginRate{shares.NewRate(maxLoginsOfAddress, loginInterval, now), shares.NewRate(maxLogins, loginInterval, now)}
}

// begin counts a login. If there are too many, it returns the *httpio.Problem with the time of the next
// try.
func (l loginRate) begin(r *http.Request) error {
	address, everybody := shares.Owner{Address: conns.AddressOf(r).String()}, shares.Owner{}
	if wait, full := l.ofAddress.Full(address); full {
		return httpio.Busy(http.StatusTooManyRequests, wait, "this address has begun too many logins within a minute: wait")
	}
	if wait, full := l.all.Full(everybody); full {
		return httpio.Busy(http.StatusTooManyRequests, wait, "too many logins have begun within a minute: wait")
	}
	l.ofAddress.Count(address)
	l.all.Count(everybody)
	return nil
}
