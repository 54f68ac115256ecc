package outbox

import "stint.dev/stint/job"

// Delivery is a route for the worker: with its secret, and whether there is anything to do
// for it.
type Delivery struct {
	Route   job.Route
	Pending bool // some row of it is pending
}

// SecretKeyError says that a server has no key for the secrets of the database.
type SecretKeyError struct{ Why string }

func (e *SecretKeyError) Error() string { return e.Why }
