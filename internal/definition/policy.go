package definition

import (
	"stint.dev/stint/internal/yaml"
)

// policy keeps the health policy as it was written, and has it checked by its own rules.
func (d *decoder) policy(v yaml.Value) error {
	if tree, err := v.Ahead().Any(); err == nil {
		d.Policy, _ = tree.(map[string]any)
	}
	retries := d.policyRetries(v.Ahead())
	if d.checkPolicy != nil {
		if err := d.checkPolicy(v); err != nil {
			return err
		}
	}
	for _, key := range retries {
		m := key.Wrong("a job with a definition is tried again by its queue: write retries: {limit: 2} beside policy, not retry and backoff in it")
		if err := v.Note(m); err != nil {
			return err
		}
	}
	return nil
}

// policyRetries are the keys of a policy that ask for further attempts.
func (d *decoder) policyRetries(v yaml.Value) (keys []yaml.Key) {
	every := func(v yaml.Value, f func(yaml.Key, yaml.Value) error) error { return v.Each("policy", nil, f) }
	_ = every(v, func(part yaml.Key, v yaml.Value) error { // what else is wrong is found by checkPolicy
		if part.Name != "actions" {
			return nil
		}
		return every(v, func(_ yaml.Key, v yaml.Value) error {
			return every(v, func(key yaml.Key, v yaml.Value) error {
				if key.Name == "retry" || key.Name == "backoff" {
					keys = append(keys, key)
				}
				return nil
			})
		})
	})
	return keys
}

func anyMapping(v yaml.Value, of string, to *map[string]any) error {
	tree, err := v.Ahead().Any()
	if err != nil {
		_, err = v.Any() // for the mistake, in its place
		return err
	}
	all, ok := tree.(map[string]any)
	if !ok {
		return v.Wrong("%s must be a list of keys and values", of)
	}
	*to = all
	return nil // what was not read is skipped
}
