// Package outbox keeps what people are to be notified of and agents are to do, and the routes of
// notifications with their secrets.
package outbox
