package access

import (
	"net/http"
	"time"

	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
)

const (
	// loginsOfAddress and loginsInAll are how many logins are begun in a loginPeriod. Each
	// writes to the database, also when nobody ever comes back from the identity provider.
	loginsOfAddress = 30
	loginsInAll     = 600
	loginPeriod     = time.Minute
)

// loginRate bounds how often logins begin.
type loginRate struct{ ofAddress, inAll *shares.Rate }

func newLoginRate(now func() time.Time) loginRate {
	return loginRate{shares.NewRate(loginsOfAddress, loginPeriod, now), shares.NewRate(loginsInAll, loginPeriod, now)}
}

// begin counts a login, or refuses it with the *problem that says when to try again.
func (l loginRate) begin(r *http.Request) error {
	from, everybody := shares.Owner{Address: conns.AddressOf(r).String()}, shares.Owner{}
	if wait, full := l.ofAddress.Full(from); full {
		return httpio.Busy(http.StatusTooManyRequests, wait, "too many logins were begun from this address within a minute: wait")
	}
	if wait, full := l.inAll.Full(everybody); full {
		return httpio.Busy(http.StatusTooManyRequests, wait, "too many logins were begun within a minute: wait")
	}
	l.ofAddress.Count(from)
	l.inAll.Count(everybody)
	return nil
}
