// Package server joins the packages below it to the tracking server's HTTP side: one visible table
// of routes, and what every request passes.
package server
