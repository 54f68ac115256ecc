package definition

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed schema.json
var schemaText []byte

// Schema is the JSON Schema of a definition, for editors. It has the keys that this version acts
// on. What a schema cannot say is found by Parse.
func Schema() ([]byte, error) {
	var schema map[string]any
	if err := json.Unmarshal(schemaText, &schema); err != nil {
		return nil, fmt.Errorf("read the schema of definitions: %w", err)
	}
	if keys, ok := schema["properties"].(map[string]any); ok {
		for key := range later {
			delete(keys, key)
		}
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of definitions: %w", err)
	}
	return append(text, '\n'), nil
}
