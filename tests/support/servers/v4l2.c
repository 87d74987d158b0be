/* A webcam without hardware: preloaded into a process, it answers the V4L2 calls for one path.
 *
 *   FAKE_CAMERA          the path, such as /dev/video77
 *   FAKE_CAMERA_FRAMES   file of MJPG pictures, each after its length in four bytes, little-endian
 *   FAKE_CAMERA_GONE     once this file exists the camera is unplugged
 *   FAKE_CAMERA_MUTE     once this file exists no picture comes any more
 *   FAKE_CAMERA_ERRNO    number of the error that asking for buffers meets
 *
 * It offers MJPG 1280x720 at 30 frames a second and YUYV 640x480 at 15; the luma of YUYV picture n is n.
 * Build: gcc -shared -fPIC -O2 -o v4l2.so v4l2.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 8, ROOM = 1 << 20 };
static const struct mode {
    uint32_t format;
    int width, height, rate;
    const char *name;
} modes[] = {
    {V4L2_PIX_FMT_YUYV, 640, 480, 15, "YUYV 4:2:2"},
    {V4L2_PIX_FMT_MJPEG, 1280, 720, 30, "Motion-JPEG"},
};

static const struct mode *mode = &modes[0];
static uint8_t *memory[BUFFERS];
static int queue[64], head, tail, buffers, streaming, users, descriptor[16];
static uint32_t number;
static FILE *frames;

#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real)                                                                                                         \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int fail(int number_of_error) {
    errno = number_of_error;
    return -1;
}

static int told(const char *variable) {
    const char *path = getenv(variable);
    return path && access(path, F_OK) == 0;
}

static int ours(int fd) {
    for (int i = 0; i < users; i++)
        if (descriptor[i] == fd)
            return 1;
    return 0;
}

static void set_rate(int fd, int rate) {
    struct itimerspec every = {{0, rate ? 1000000000 / rate : 0}, {0, rate ? 1000000000 / rate : 0}};
    timerfd_settime(fd, 0, &every, NULL);
}

static int open_camera(int flags) {
    if (told("FAKE_CAMERA_GONE"))
        return fail(ENODEV);
    if (users == 16)
        return fail(EMFILE);
    if (!users)
        streaming = head = tail = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | (flags & O_NONBLOCK ? TFD_NONBLOCK : 0));
    descriptor[users++] = fd;
    return fd;
}

static int is_camera(const char *path) {
    const char *camera = getenv("FAKE_CAMERA");
    return path && camera && strcmp(path, camera) == 0;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int permissions = va_arg(rest, int);                                                                           \
        va_end(rest);                                                                                                  \
        if (is_camera(path))                                                                                           \
            return open_camera(flags);                                                                                     \
        REAL(int, #name, const char *, int, ...);                                                                      \
        return real(path, flags, permissions);                                                                         \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(int, "close", int);
    for (int i = 0; i < users; i++)
        if (descriptor[i] == fd) {
            descriptor[i] = descriptor[--users];
            break;
        }
    return real(fd);
}

#define MMAP(name, offset_type)                                                                                        \
    void *name(void *where, size_t length, int rights, int flags, int fd, offset_type offset) {                        \
        REAL(void *, #name, void *, size_t, int, int, int, offset_type);                                               \
        if (!ours(fd))                                                                                                 \
            return real(where, length, rights, flags, fd, offset);                                                     \
        int index = (int)(offset / ROOM);                                                                              \
        memory[index] = real(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);                 \
        return memory[index];                                                                                          \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

static uint32_t fill(uint8_t *picture) {
    if (mode->format == V4L2_PIX_FMT_YUYV) {
        for (int i = 0; i < mode->width * mode->height; i++) {
            picture[2 * i] = (uint8_t)number;
            picture[2 * i + 1] = 128;
        }
        return (uint32_t)(mode->width * mode->height * 2);
    }
    uint32_t size = 0;
    if (!frames)
        frames = fopen(getenv("FAKE_CAMERA_FRAMES"), "rb");
    if (fread(&size, 4, 1, frames) != 1) {
        rewind(frames);
        if (fread(&size, 4, 1, frames) != 1)
            return 0;
    }
    return size <= ROOM ? (uint32_t)fread(picture, 1, size, frames) : 0;
}

static int give_picture(int fd, struct v4l2_buffer *buffer) {
    uint64_t ticks;
    struct timespec now;
    if (!streaming || head == tail)
        return fail(EINVAL);
    if (read(fd, &ticks, sizeof ticks) < 0)
        return -1;
    if (told("FAKE_CAMERA_GONE"))
        return fail(ENODEV);
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffer->index = (uint32_t)queue[head++ % 64];
    buffer->bytesused = fill(memory[buffer->index]);
    buffer->length = ROOM;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->field = V4L2_FIELD_NONE;
    buffer->sequence = number++;
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    buffer->m.offset = buffer->index * ROOM;
    if (told("FAKE_CAMERA_MUTE"))
        set_rate(fd, 0);
    return 0;
}

static void describe(struct v4l2_pix_format *picture) {
    memset(picture, 0, sizeof *picture);
    picture->width = (uint32_t)mode->width;
    picture->height = (uint32_t)mode->height;
    picture->pixelformat = mode->format;
    picture->field = V4L2_FIELD_NONE;
    picture->bytesperline = mode->format == V4L2_PIX_FMT_YUYV ? (uint32_t)mode->width * 2 : 0;
    picture->sizeimage = ROOM;
    picture->colorspace = V4L2_COLORSPACE_SRGB;
}

static const struct mode *of_format(uint32_t format) {
    for (int i = 0; i < 2; i++)
        if (modes[i].format == format)
            return &modes[i];
    return NULL;
}

static int answer(int fd, unsigned long request, void *argument) {
    if (told("FAKE_CAMERA_GONE"))
        return fail(ENODEV);
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *camera = argument;
        memset(camera, 0, sizeof *camera);
        strcpy((char *)camera->driver, "fake");
        strcpy((char *)camera->card, "Fake camera");
        camera->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        camera->capabilities = camera->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index)
            return fail(EINVAL);
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return *(int *)argument ? fail(EINVAL) : 0;
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *size = argument;
        const struct mode *one = of_format(size->pixel_format);
        if (!one || size->index)
            return fail(EINVAL);
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete.width = (uint32_t)one->width;
        size->discrete.height = (uint32_t)one->height;
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *interval = argument;
        const struct mode *one = of_format(interval->pixel_format);
        if (!one || interval->index)
            return fail(EINVAL);
        interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        interval->discrete.numerator = 1;
        interval->discrete.denominator = (uint32_t)one->rate;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *format = argument;
        if (format->index >= 2)
            return fail(EINVAL);
        format->pixelformat = modes[format->index].format;
        strcpy((char *)format->description, modes[format->index].name);
        return 0;
    }
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT: {
        struct v4l2_format *format = argument;
        const struct mode *wanted = &modes[format->fmt.pix.pixelformat == V4L2_PIX_FMT_MJPEG];
        if (request == VIDIOC_S_FMT && streaming && wanted != mode)
            return fail(EBUSY);
        const struct mode *before = mode;
        mode = wanted;
        describe(&format->fmt.pix);
        if (request == VIDIOC_TRY_FMT)
            mode = before;
        return 0;
    }
    case VIDIOC_G_FMT:
        describe(&((struct v4l2_format *)argument)->fmt.pix);
        return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_streamparm *pace = argument;
        pace->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        pace->parm.capture.timeperframe.numerator = 1;
        pace->parm.capture.timeperframe.denominator = (uint32_t)mode->rate;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        const char *number_of_error = getenv("FAKE_CAMERA_ERRNO");
        if (number_of_error)
            return fail(atoi(number_of_error));
        if (wanted->memory != V4L2_MEMORY_MMAP)
            return fail(EINVAL);
        wanted->count = wanted->count > BUFFERS ? BUFFERS : wanted->count;
        buffers = (int)wanted->count;
        head = tail = 0;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= (uint32_t)buffers)
            return fail(EINVAL);
        buffer->length = ROOM;
        buffer->m.offset = buffer->index * ROOM;
        return 0;
    }
    case VIDIOC_QBUF:
        queue[tail++ % 64] = (int)((struct v4l2_buffer *)argument)->index;
        return 0;
    case VIDIOC_DQBUF:
        return give_picture(fd, argument);
    case VIDIOC_STREAMON:
        streaming = 1;
        set_rate(fd, mode->rate);
        return 0;
    case VIDIOC_STREAMOFF:
        streaming = head = tail = 0;
        set_rate(fd, 0);
        return 0;
    }
    return fail(EINVAL);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (ours(fd))
        return answer(fd, request & 0xffffffffUL, argument);
    REAL(int, "ioctl", int, unsigned long, ...);
    return real(fd, request, argument);
}
