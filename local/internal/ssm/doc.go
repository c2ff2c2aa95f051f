// Package ssm is the part of AWS Systems Manager that the local engine has: the
// Parameter Store.
//
//	service, err := ssm.New(ssm.Options{Store: db, Clock: clock, Region: "us-east-1"})
//	_, err = service.PutParameter(ctx, &sdk.PutParameterInput{Name: aws.String("/team/token"), Type: types.ParameterTypeString, …})
//	out, err := service.GetParameters(ctx, &sdk.GetParametersInput{Names: []string{"/team/token"}})
//
// A parameter has one version, the latest. There is no KMS: a SecureString lies
// in the state directory, which its owner alone can read, and is given to those
// only who ask for it decrypted.
package ssm
