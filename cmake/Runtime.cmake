# The runtime is built twice: by the system's compiler as a library for unit tests, and by the clang of the LLVM in use
# to one bitcode file, which tfxc links into every model. The bitcode is for the baseline of its architecture: a model's
# kernels choose their instruction set, its runtime runs everywhere.
function(tfxc_runtime_bitcode out)
    execute_process(COMMAND ${LLVM_CONFIG} --host-target OUTPUT_VARIABLE triple OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(baseline)
    if(triple MATCHES "^x86_64")
        set(baseline -march=x86-64)
    endif()
    set(units)
    foreach(source ${ARGN})
        get_filename_component(stem ${source} NAME_WE)
        set(unit ${CMAKE_BINARY_DIR}/runtime/${stem}.bc)
        add_custom_command(
            OUTPUT ${unit}
            COMMAND ${LLVM_BINDIR}/clang -std=gnu11 -O2 -fPIC -fno-stack-protector ${baseline} -DNDEBUG -Wall -Wextra -Werror
                    -I${CMAKE_SOURCE_DIR} -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -emit-llvm -c ${source} -o ${unit}
                    -MD -MF ${unit}.d
            DEPENDS ${source} DEPFILE ${unit}.d COMMENT "Compiling runtime/${stem}.c to bitcode" VERBATIM)
        list(APPEND units ${unit})
    endforeach()
    set(linked ${CMAKE_BINARY_DIR}/runtime/tfxrt-${triple}.bc)
    add_custom_command(OUTPUT ${linked} COMMAND ${LLVM_BINDIR}/llvm-link ${units} -o ${linked} DEPENDS ${units}
                       COMMENT "Linking the runtime bitcode" VERBATIM)
    set(${out} ${linked} PARENT_SCOPE)
endfunction()

function(tfxc_runtime)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/runtime)
    set(dir ${CMAKE_SOURCE_DIR}/runtime)
    file(GLOB linked_in CONFIGURE_DEPENDS ${dir}/rt_*.c)
    file(GLOB loader CONFIGURE_DEPENDS ${dir}/loader.c)
    file(GLOB runner CONFIGURE_DEPENDS ${dir}/tfxrun.c)
    file(GLOB runner_parts CONFIGURE_DEPENDS ${dir}/tfxrun_*.c ${dir}/npy.c ${dir}/npz.c)
    if(linked_in)
        add_library(tfxrt STATIC ${linked_in})
        tfxc_warnings(tfxrt)
        target_link_libraries(tfxrt PUBLIC m Threads::Threads)
        tfxc_runtime_bitcode(bitcode ${linked_in})
        set(TFXC_RUNTIME_BITCODE ${bitcode} PARENT_SCOPE)
    endif()
    if(loader)
        add_library(tfx STATIC ${loader})
        tfxc_warnings(tfx)
        set_target_properties(tfx PROPERTIES POSITION_INDEPENDENT_CODE ON)
        target_link_libraries(tfx PUBLIC dl)
    endif()
    if(runner_parts) # a library of its own, so that unit tests reach it
        add_library(tfxrun_parts STATIC ${runner_parts})
        tfxc_warnings(tfxrun_parts)
        tfxc_link(tfxrun_parts tfx m z)
    endif()
    if(runner)
        add_executable(tfxrun ${runner})
        tfxc_warnings(tfxrun)
        tfxc_link(tfxrun tfxrun_parts tfx m)
    endif()
endfunction()

# Library `embedded`: what support/embedded.h declares. A file that is not there is embedded as an empty one.
function(tfxc_embedded)
    add_executable(embed ${CMAKE_SOURCE_DIR}/cmake/embed.c)
    tfxc_warnings(embed)
    set_target_properties(embed PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/cmake)
    file(GLOB header CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/tfx.h)
    file(GLOB_RECURSE blocks RELATIVE ${CMAKE_SOURCE_DIR}/frontend CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/frontend/std/*.tfx)
    list(SORT blocks)
    set(arguments)
    foreach(block ${blocks})
        list(APPEND arguments ${block} ${CMAKE_SOURCE_DIR}/frontend/${block})
        list(APPEND block_files ${CMAKE_SOURCE_DIR}/frontend/${block})
    endforeach()
    set(out ${CMAKE_BINARY_DIR}/generated/embedded.c)
    add_custom_command(
        OUTPUT ${out} COMMAND embed ${out} "${TFXC_RUNTIME_BITCODE}" "${header}" ${arguments}
        DEPENDS embed ${TFXC_RUNTIME_BITCODE} ${header} ${block_files} COMMENT "Embedding the runtime and the standard library"
        VERBATIM)
    add_library(embedded STATIC ${out})
    tfxc_warnings(embedded)
endfunction()
