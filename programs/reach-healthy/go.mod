module gostuck.dev/programs/reach-healthy

go 1.19
