package outbox

import "stint.dev/stint/job/api"

// Delivery is a route with its secret, and whether it has pending rows.
type Delivery struct {
	Route   api.Route
	Pending bool // some row of it is pending
}

// SecretKeyError is the error of a server that has no key for the secrets in the database.
type SecretKeyError struct{ Why string }

func (e *SecretKeyError) Error() string { return e.Why }
