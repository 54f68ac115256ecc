// Package message forms the messages of notifications: message.go has what a message says, and text.go
// removes from foreign text what a receiver would interpret or not show.
package message
