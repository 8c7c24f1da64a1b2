-- Counts of workers, as core packs them (`asynctasq.counts`). A hash has the counts of a minute (`tm:`) or of an
-- hour (`th:`), by the length of the queue's name in two bytes, the queue, and the task.

local OURS = '\255\255' -- begins fields that are not of a queue
local MOST_FIELDS = 3000 -- of a minute: a single command writes them. Further tasks are counted as one.
local MOST_COUNT = 9e15 -- a float still holds the next number exactly
local KEPT = 32 * 86400 * 1000 -- milliseconds after which counts end if no worker adds them up or deletes them

-- Add packed counts to sums by number. Damaged ones are left out.
local function add_counts(sums, data)
    if not data or #data < 4 then return end
    local version, wide, length = unpack_from('>BBH', data)
    local size = wide == 1 and 8 or 4
    if version ~= 1 or wide > 1 or #data ~= 4 + length + length * size then return end
    local kind = wide == 1 and '>I8' or '>I4'
    for i = 1, length do
        local number = byte(data, 4 + i)
        local value = unpack_from(kind, data, 5 + length + (i - 1) * size)
        sums[number] = math.min((sums[number] or 0) + value, MOST_COUNT)
    end
end

local function packed_counts(sums)
    local numbers, wide = {}, 0
    for number, value in pairs(sums) do
        if value > 0 then numbers[#numbers + 1] = number end
        if value >= 4294967296 then wide = 1 end
    end
    table.sort(numbers)
    local kind = wide == 1 and '>I8' or '>I4'
    local parts = {pack('>BBH', 1, wide, #numbers)}
    for _, number in ipairs(numbers) do parts[#parts + 1] = string.char(number) end
    for _, number in ipairs(numbers) do parts[#parts + 1] = pack(kind, sums[number]) end
    return table.concat(parts)
end

local function is_ours(field)
    return sub(field, 1, 2) == OURS
end

-- Return the first minute whose counts are not added up to hours yet.
local function first_minute(now)
    return math.floor((now - 86400000000) / 3600000000) * 60
end

-- Make an index know a hash, and let both end some day.
local function index_counts(index, key, start)
    call('ZADD', index, whole(start), whole(start))
    call('PEXPIRE', index, whole(KEPT))
    call('PEXPIRE', key, whole(KEPT))
end
