-- List ids of leased messages. ARGV: an owner ('' for all), the owner to begin with and the position in its set
-- ('' for the first), the wanted number of ids. Returns 1 if there are no more owners, otherwise 0; then for
-- each owner, by name: owner, position, next position ('0' at the end) and ids. An owner with many leases is
-- read in pieces.

local AT_ONCE = 10000
local PIECE = 500
local only, first, place, enough = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local owners = only ~= '' and {only} or call('ZRANGE', P .. 'owners', 0, -1)
table.sort(owners)
local answer = {1}
for _, owner in ipairs(owners) do
    if not (owner < first) then
        if enough <= 0 then
            answer[1] = 0
            break
        end
        local key = P .. 'o:' .. owner
        local from, following, ids = '0', '0', {}
        if call('SCARD', key) <= AT_ONCE then
            ids = call('SMEMBERS', key)
        else
            from = owner == first and place ~= '' and place or '0'
            following, ids = unpack(call('SSCAN', key, from, 'COUNT', PIECE))
        end
        if #ids > 0 or following ~= '0' then
            local at = #answer
            answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] = owner, from, following, ids
        end
        enough = following == '0' and enough - #ids or 0
    end
end
return answer
