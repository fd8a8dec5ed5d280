module gostuck.example/programs

go 1.19
