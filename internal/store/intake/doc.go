// Package intake stores appends and heartbeats, a group of them in one transaction.
package intake
