// Package resources has CloudFormation's resource types, as far as the local
// engine knows them: a [Provider] for each type makes, changes and removes
// resources of the engine's services, and its [Schema] says what a template may
// ask of the type.
//
// To add a type, write a provider in the file of its service and name it in
// [Providers].
package resources
