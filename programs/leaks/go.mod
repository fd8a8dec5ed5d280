module gostuck.dev/programs/leaks

go 1.19
