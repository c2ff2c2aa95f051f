package wire

import (
	"context"
	"reflect"
	"strings"
)

// An Operation is a method with the signature of an SDK operation:
// func(context.Context, *XInput) (*XOutput, error).
type Operation struct {
	Name   string
	method reflect.Value
	input  reflect.Type
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// Operations returns the methods of svc that have the signature of an SDK
// operation, by name. The method has the operation's name, and its input type
// is named after it: StartBuild takes a *StartBuildInput.
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

// Call runs the operation. The output is a pointer to the SDK's struct, and is
// not nil if the error is nil. As in AWS's responses, its lists are present
// even if they are empty. A list inside an item is present only if the service
// sets it, because AWS omits some of those.
func (o Operation) Call(ctx context.Context, input any) (any, error) {
	results := o.method.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(input)})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	output := results[0]
	if output.IsNil() {
		output = reflect.New(output.Type().Elem())
	}
	setLists(output.Elem())
	return output.Interface(), nil
}

// setLists replaces the nil lists of a struct by empty lists.
func setLists(v reflect.Value) {
	for _, m := range jsonNames.members(v.Type()) {
		field := v.Field(m.index)
		if field.Kind() == reflect.Slice && field.Type() != bytesType && field.IsNil() {
			field.Set(reflect.MakeSlice(field.Type(), 0, 0))
		}
	}
}
