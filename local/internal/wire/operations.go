package wire

import (
	"context"
	"reflect"
	"strings"
)

// An Operation is an operation of a service.
type Operation struct {
	Name  string
	input reflect.Type
	call  func(ctx context.Context, input any) (any, error)
}

// Op returns the operation that method implements. The method has the signature
// of the SDK's, and the operation is named after its input type.
//
// Services list their methods, because a program that looks for methods by
// reflection keeps all exported methods of all of its types: the command would
// be twice as large.
func Op[I, O any](method func(context.Context, *I) (*O, error)) Operation {
	input := reflect.TypeFor[I]()
	return Operation{Name: strings.TrimSuffix(input.Name(), "Input"), input: input, call: func(ctx context.Context, in any) (any, error) {
		output, err := method(ctx, in.(*I))
		if err != nil {
			return nil, err
		}
		if output == nil {
			output = new(O)
		}
		return output, nil
	}}
}

// byName returns operations by their names.
func byName(operations []Operation) map[string]Operation {
	named := map[string]Operation{}
	for _, op := range operations {
		named[op.Name] = op
	}
	return named
}

// NewInput returns an empty input: a pointer to the SDK's struct.
func (o Operation) NewInput() any { return reflect.New(o.input).Interface() }

// Call runs the operation. The output is a pointer to the SDK's struct, and is
// not nil if the error is nil. As in AWS's responses, its lists are present
// even if they are empty. A list inside an item is present only if the service
// sets it, because AWS omits some of those.
func (o Operation) Call(ctx context.Context, input any) (any, error) {
	output, err := o.call(ctx, input)
	if err != nil {
		return nil, err
	}
	setLists(reflect.ValueOf(output).Elem())
	return output, nil
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
