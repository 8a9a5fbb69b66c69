# Warnings are errors everywhere. Generated scanners and parsers are the only sources that get fewer of them.
set(TFXC_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes
                  -Wvla -Werror)
set(TFXC_GENERATED_WARNINGS -Wno-conversion -Wno-sign-compare -Wno-shadow -Wno-missing-prototypes -Wno-unused-function
                            -Wno-unused-parameter -Wno-unused-but-set-variable)

function(tfxc_warnings target)
    target_compile_options(${target} PRIVATE ${TFXC_WARNINGS})
endfunction()
