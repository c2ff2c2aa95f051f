package infra

import (
	"reflect"
	"slices"
	"testing"
)

// A field that is missing in callersParams has its variable denied to those who
// may start builds.
func TestCallersParamsHasEveryFieldButTheStacks(t *testing.T) {
	params := reflect.ValueOf(callersParams)
	for i := range params.NumField() {
		name := params.Type().Field(i).Name
		ofStack := slices.Contains([]string{"Registry", "CacheRepository"}, name)
		if params.Field(i).IsZero() != ofStack {
			t.Errorf("callersParams has %s: %v, want %v", name, !params.Field(i).IsZero(), !ofStack)
		}
	}
}
