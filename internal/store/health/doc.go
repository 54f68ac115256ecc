// Package health stores leases, evidence, verdicts, diagnoses and policies.
package health
