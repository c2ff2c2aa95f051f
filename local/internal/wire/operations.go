package wire

import (
	"context"
	"reflect"
	"strings"
)

// An Operation is a method of the SDK's shape: func(context.Context, *XInput) (*XOutput, error).
type Operation struct {
	Name   string
	method reflect.Value
	input  reflect.Type
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// Operations returns the methods of svc that have the SDK's shape, by name. The method's name is the operation's, and
// the input must be called after it: StartBuild takes a *StartBuildInput.
func Operations(svc any) map[string]Operation {
	operations := map[string]Operation{}
	value := reflect.ValueOf(svc)
	for i := range value.NumMethod() {
		name, method := value.Type().Method(i).Name, value.Method(i)
		if isOperation(name, method.Type()) {
			operations[name] = Operation{Name: name, method: method, input: method.Type().In(1).Elem()}
		}
	}
	return operations
}

func isOperation(name string, t reflect.Type) bool {
	if t.NumIn() != 2 || t.NumOut() != 2 || t.In(0) != contextType || t.Out(1) != errorType {
		return false
	}
	return isStructPointer(t.In(1), name+"Input") && isStructPointer(t.Out(0), name+"Output")
}

func isStructPointer(t reflect.Type, name string) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && strings.EqualFold(t.Elem().Name(), name)
}

// NewInput returns an empty input: a pointer to the SDK's struct.
func (o Operation) NewInput() any { return reflect.New(o.input).Interface() }

// Call runs the operation. The output is a pointer to the SDK's struct, never nil when the error is.
func (o Operation) Call(ctx context.Context, input any) (any, error) {
	results := o.method.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(input)})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	if results[0].IsNil() {
		return reflect.New(results[0].Type().Elem()).Interface(), nil
	}
	return results[0].Interface(), nil
}
