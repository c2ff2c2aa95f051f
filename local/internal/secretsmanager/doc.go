// Package secretsmanager is the local engine's AWS Secrets Manager.
//
//	service, err := secretsmanager.New(secretsmanager.Options{Store: db, Clock: clock, Region: "us-east-1"})
//	out, err := service.CreateSecret(ctx, &sdk.CreateSecretInput{Name: aws.String("token"), SecretString: aws.String("…")})
//	value, err := service.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: out.ARN})
//
// There is no KMS: secrets lie in the state directory, which its owner alone
// can read. Nothing rotates or replicates them, and they have no resource
// policies.
package secretsmanager
