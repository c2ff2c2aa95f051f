// Package template is the language of CloudFormation's templates: it reads a
// template, checks it, and evaluates what stands in it. It knows no resource
// type and no stack.
//
//	t, err := template.Parse(body) // JSON or YAML (template.go, yaml.go)
//	values, err := template.ChooseParameters(t.Parameters, given, previous)
//	ids, err := template.Order(t.Dependencies())
//	r := &template.Resolver{Template: t, Values: …}
//	properties, err := r.Object("Properties", t.Resources[id].Properties)
//
// What cannot be known before a resource is made evaluates to [Unknown].
package template
