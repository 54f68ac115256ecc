// Package notify notifies people. A change of a run leaves rows in the outbox, in the same
// transaction; the worker here finds the routes of each cause, forms messages, and brings
// each to its receiver at least once, in the order of the changes, under an id that is the
// same in every try. Rules (which route, quiet hours, what is joined into one message, what
// is repeated) are pure functions; a channel is one small interface. A receiver that is
// down loses nothing, and one that is slow delays no other: each route has a goroutine of
// its own while something waits for it, and is served by one server at a time.
//
// The worker also follows the actions that are not messages: a cancel whose agent is gone
// is ended here, and a retry that does not begin is given up.
package notify
