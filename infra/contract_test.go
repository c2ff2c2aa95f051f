package infra

import (
	"reflect"
	"testing"
)

// A field that is missing in everyParam would have its variable denied to those
// who may start builds.
func TestEveryParamHasEveryField(t *testing.T) {
	params := reflect.ValueOf(everyParam)
	for i := range params.NumField() {
		if params.Field(i).IsZero() {
			t.Errorf("everyParam has no %s", params.Type().Field(i).Name)
		}
	}
}
