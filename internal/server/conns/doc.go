// Package conns watches the connections that clients open: how many there are and whose, which
// attempt's agent holds one, and what its end says of that agent.
package conns
