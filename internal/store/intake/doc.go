// Package intake stores appends and heartbeats, a group of them in each transaction.
package intake
