// Package httpio reads requests and writes answers: problems, parameters, JSON, and bodies that
// take as long as their client sends.
package httpio
