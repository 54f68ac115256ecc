package index

import "stint.dev/stint/job"

// Delivery is a route as the worker sees it: with its secret, and whether there is
// anything to do for it.
type Delivery struct {
	Route   job.Route
	Pending bool // some row is not settled
}
